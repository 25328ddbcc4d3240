import type { SealedSecret } from '../core/types.js';
import type { PasswordBinding } from '../crypto/binding.js';
import type { SecretPlace } from '../crypto/secret-place.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** A stored secret. */
export interface StoredSecret {
  place: SecretPlace;
  sealed: SealedSecret;
}

/** Every secret of a server, whoever it belongs to: for rotation and verification only. */
export interface SecretStore {
  /** Secrets that are not under `keyId`, at most `limit` of each kind. */
  notUnder(keyId: string, limit: number): Promise<StoredSecret[]>;
  /** All of them, in steps, for verification. */
  readAll(step: number): AsyncGenerator<StoredSecret[]>;
  /**
   * Puts the same secrets down under another key, in one transaction. One that was changed meanwhile is left alone.
   *
   * @returns How many were written.
   */
  reseal(changes: ReadonlyArray<{ from: StoredSecret; to: SealedSecret }>): Promise<number>;
  /** How many secrets each key id opens. */
  countByKey(): Promise<Map<string, number>>;
  /** The same inside the caller's transaction. */
  countByKeyNow(): Map<string, number>;
}

interface Kind {
  /** Columns of one secret: `rowid` orders them for reading in steps. */
  select: string;
  keyColumn: string;
  fromRow(row: Record<string, unknown>): StoredSecret;
}

const sealedOf = (row: Record<string, unknown>): SealedSecret => ({
  value: row.sealed_value as string,
  keyId: row.sealed_key_id as string,
});

const KINDS: readonly Kind[] = [
  {
    select: `SELECT pk AS place, password AS sealed_value, password_key_id AS sealed_key_id, tenant_id, id, host, port, tls, user,
       tls_verify, tls_ca FROM accounts WHERE password IS NOT NULL`,
    keyColumn: 'password_key_id',
    fromRow: (row) => ({
      sealed: sealedOf(row),
      place: {
        kind: 'account-password',
        tenantId: row.tenant_id as string,
        accountId: row.id as string,
        binding: {
          host: row.host as string,
          port: row.port as number,
          tls: row.tls as PasswordBinding['tls'],
          user: row.user as string | null,
          tlsVerify: row.tls_verify === 1,
          tlsCa: row.tls_ca as string | null,
        },
      },
    }),
  },
  {
    select: `SELECT id AS place, client_auth_secret AS sealed_value, client_auth_key_id AS sealed_key_id, id, client_base_url,
       client_sync_path, client_attachment_path FROM tenants WHERE client_auth_secret IS NOT NULL`,
    keyColumn: 'client_auth_key_id',
    fromRow: (row) => ({
      sealed: sealedOf(row),
      place: {
        kind: 'callback-credential',
        tenantId: row.id as string,
        binding: {
          baseUrl: row.client_base_url as string | null,
          syncPath: row.client_sync_path as string,
          attachmentPath: row.client_attachment_path as string,
        },
      },
    }),
  },
  {
    select: `SELECT id AS place, webhook_secret AS sealed_value, webhook_secret_key_id AS sealed_key_id, id FROM tenants
       WHERE webhook_secret IS NOT NULL`,
    keyColumn: 'webhook_secret_key_id',
    fromRow: (row) => ({
      sealed: sealedOf(row),
      place: { kind: 'webhook-secret', tenantId: row.id as string },
    }),
  },
  {
    select:
      'SELECT chain AS place, value AS sealed_value, key_id AS sealed_key_id, chain FROM audit_keys WHERE given_up = 0',
    keyColumn: 'key_id',
    fromRow: (row) => ({ sealed: sealedOf(row), place: { kind: 'audit-key', chain: row.chain as number } }),
  },
];

/** Secrets over one connection. */
export function createSecretStore(sql: Sql, writer: Writer): SecretStore {
  const write = ({ from, to }: { from: StoredSecret; to: SealedSecret }): number => {
    const { place, sealed } = from;
    switch (place.kind) {
      case 'account-password':
        return sql(
          'UPDATE accounts SET password = ?, password_key_id = ? WHERE tenant_id = ? AND id = ? AND password = ?',
        ).run(to.value, to.keyId, place.tenantId, place.accountId, sealed.value).changes;
      case 'callback-credential':
        return sql(
          'UPDATE tenants SET client_auth_secret = ?, client_auth_key_id = ? WHERE id = ? AND client_auth_secret = ?',
        ).run(to.value, to.keyId, place.tenantId, sealed.value).changes;
      case 'webhook-secret':
        return sql(
          'UPDATE tenants SET webhook_secret = ?, webhook_secret_key_id = ? WHERE id = ? AND webhook_secret = ?',
        ).run(to.value, to.keyId, place.tenantId, sealed.value).changes;
      case 'audit-key':
        return sql('UPDATE audit_keys SET value = ?, key_id = ? WHERE chain = ? AND value = ?').run(
          to.value,
          to.keyId,
          place.chain,
          sealed.value,
        ).changes;
    }
  };
  const countByKey = (): Map<string, number> => {
    const union = KINDS.map(({ select }) => `SELECT sealed_key_id FROM (${select})`).join(' UNION ALL ');
    const rows = sql(
      `SELECT sealed_key_id AS id, COUNT(*) AS n FROM (${union}) GROUP BY sealed_key_id`,
    ).all();
    return new Map(rows.map((row) => [row.id as string, row.n as number]));
  };
  return {
    async notUnder(keyId, limit) {
      return KINDS.flatMap((kind) =>
        sql(`${kind.select} AND ${kind.keyColumn} <> ? LIMIT ?`).all(keyId, limit).map(kind.fromRow),
      ).slice(0, limit);
    },
    async *readAll(step) {
      for (const { select, fromRow } of KINDS) {
        let after: unknown;
        for (;;) {
          const rows: Array<Record<string, unknown>> =
            after === undefined
              ? sql(`SELECT * FROM (${select}) ORDER BY place LIMIT ?`).all(step)
              : sql(`SELECT * FROM (${select}) WHERE place > ? ORDER BY place LIMIT ?`).all(after, step);
          if (rows.length > 0) yield rows.map(fromRow);
          if (rows.length < step) break;
          after = rows.at(-1)?.place;
        }
      }
    },
    reseal: (changes) => writer.run(() => changes.reduce((sum, change) => sum + write(change), 0)),
    async countByKey() {
      return countByKey();
    },
    countByKeyNow: countByKey,
  };
}

import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import { primaryKeyId } from './primary-key.js';
import type { SecretStore } from './secrets.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** An encryption key as the store knows it: by id, never itself. */
export interface RecordedKey {
  id: string;
  /** Where it was found when it was recorded. */
  source: string;
  recordedAt: number;
  retiredAt: number | null;
}

/** Which keys a server has had, and which one writes use. */
export interface KeyStore {
  /** The key that new secrets are sealed under. */
  primaryId(): Promise<string | undefined>;
  /** All of them, newest first. */
  list(): Promise<RecordedKey[]>;
  /** Ids of those that are not retired: the primary first, then newest first. */
  ids(): Promise<string[]>;
  /** Records a key that will be used or is needed to decrypt. */
  add(id: string, source: string, by: Change): Promise<void>;
  /** Makes a key the one that writes use; records it when it is new. */
  makePrimary(id: string, source: string, by: Change): Promise<void>;
  /**
   * Takes a key out of use.
   *
   * @throws MailProxyError `usage` while it is primary or a secret still needs it, `not_found`.
   */
  retire(id: string, by: Change): Promise<void>;
}

/** Keys over one connection. */
export function createKeyStore(
  sql: Sql,
  writer: Writer,
  append: AppendAudit,
  countByKey: SecretStore['countByKeyNow'],
): KeyStore {
  const primary = (): string | undefined => primaryKeyId(sql);

  const record = (id: string, source: string, now: number): void => {
    sql(
      `INSERT INTO keys (id, source, first_used_at) VALUES (?, ?, ?)
         ON CONFLICT DO UPDATE SET source = excluded.source, first_used_at = excluded.first_used_at, retired_at = NULL`,
    ).run(id, source, now);
  };

  return {
    async primaryId() {
      return primary();
    },
    async list() {
      return sql('SELECT * FROM keys ORDER BY first_used_at DESC, id')
        .all()
        .map((row) => ({
          id: row.id as string,
          source: row.source as string,
          recordedAt: row.first_used_at as number,
          retiredAt: row.retired_at as number | null,
        }));
    },
    async ids() {
      const ids = sql('SELECT id FROM keys WHERE retired_at IS NULL ORDER BY first_used_at DESC, id')
        .all()
        .map((row) => row.id as string);
      const first = primary();
      return first !== undefined && ids.includes(first) ? [first, ...ids.filter((id) => id !== first)] : ids;
    },
    add: (id, source, { actor, now }) =>
      writer.run(() => {
        record(id, source, now);
        append({ event: 'key.added', actor, tenantId: null, subject: id, detail: { source } }, now);
      }),
    makePrimary: (id, source, { actor, now }) =>
      writer.run(() => {
        record(id, source, now);
        sql(
          "INSERT INTO settings VALUES ('primary_key_id', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        ).run(id);
        append({ event: 'key.primary', actor, tenantId: null, subject: id, detail: { source } }, now);
      }),
    retire: (id, { actor, now }) =>
      writer.run(() => {
        const needing = countByKey().get(id) ?? 0;
        if (id === primary() || needing > 0) {
          throw new MailProxyError(
            'usage',
            id === primary()
              ? `Key ${id} is the one that new secrets are sealed under: make another primary first with "rotate-key".`
              : `Key ${id} is still needed by ${needing} secret(s): run "rotate-key" first.`,
          );
        }
        const { changes } = sql('UPDATE keys SET retired_at = ? WHERE id = ? AND retired_at IS NULL').run(
          now,
          id,
        );
        if (changes === 0)
          throw new MailProxyError('not_found', `There is no key ${id} in use: see "keys list".`);
        append({ event: 'key.retired', actor, tenantId: null, subject: id, detail: {} }, now);
      }),
  };
}

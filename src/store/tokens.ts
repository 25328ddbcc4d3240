import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** A tenant's token as stored: its hash, never the token. */
export interface StoredToken {
  pk: number;
  tenantId: string;
  name: string;
  hash: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
  /** Whether the tenant may act at all. */
  tenantActive: boolean;
}

/** A token to be stored. */
export interface NewToken {
  name: string;
  hash: string;
  expiresAt: number | null;
}

/** Tokens of tenants. */
export interface TokenStore {
  /** Looked up before it is known which tenant calls. */
  findByHash(hash: string): Promise<StoredToken | undefined>;
  list(scope: TenantScope): Promise<StoredToken[]>;
  /**
   * Stores a token; with `replace` the one of the same name dies, otherwise the name must be free.
   *
   * @throws MailProxyError `tenant_not_found`, `already_exists` for the name or the token.
   */
  put(scope: TenantScope, token: NewToken, by: Change, options: { replace: boolean }): Promise<void>;
  /** Removes a token. False when there is none of that name. */
  revoke(scope: TenantScope, name: string, by: Change): Promise<boolean>;
  /** Notes that tokens were used; kept to the minute by the caller. */
  touch(pks: readonly number[], now: number): Promise<void>;
}

function tokenFromRow(row: Record<string, unknown>): StoredToken {
  return {
    pk: row.pk as number,
    tenantId: row.tenant_id as string,
    name: row.name as string,
    hash: row.hash as string,
    createdAt: row.created_at as number,
    expiresAt: row.expires_at as number | null,
    lastUsedAt: row.last_used_at as number | null,
    tenantActive: row.active === 1,
  };
}

const SELECT = 'SELECT tokens.*, tenants.active FROM tokens JOIN tenants ON tenants.id = tokens.tenant_id';

/**
 * Refuses a token that another tenant, or another name, has: two could not be told apart.
 *
 * @throws MailProxyError `already_exists`.
 */
export function refuseTakenHash(sql: Sql, hash: string, tenantId: string, name: string): void {
  const taken = sql('SELECT 1 FROM tokens WHERE hash = ? AND NOT (tenant_id = ? AND name = ?)').get(
    hash,
    tenantId,
    name,
  );
  if (taken !== undefined) {
    throw new MailProxyError('already_exists', 'That token is in use already: choose another.');
  }
}

/** Tokens over one connection. */
export function createTokenStore(sql: Sql, writer: Writer, append: AppendAudit): TokenStore {
  return {
    async findByHash(hash) {
      const row = sql(`${SELECT} WHERE tokens.hash = ?`).get(hash);
      return row === undefined ? undefined : tokenFromRow(row);
    },
    async list(scope) {
      return sql(`${SELECT} WHERE tokens.tenant_id = ? ORDER BY name`).all(scope.tenantId).map(tokenFromRow);
    },
    put: (scope, { name, hash, expiresAt }, { actor, now }, { replace }) =>
      writer.run(() => {
        const { tenantId } = scope;
        if (sql('SELECT 1 FROM tenants WHERE id = ?').get(tenantId) === undefined) {
          throw new MailProxyError(
            'tenant_not_found',
            `There is no tenant "${tenantId}": see "tenants list".`,
          );
        }
        refuseTakenHash(sql, hash, tenantId, name);
        const old = sql('SELECT 1 FROM tokens WHERE tenant_id = ? AND name = ?').get(tenantId, name);
        if (old !== undefined && !replace) {
          throw new MailProxyError(
            'already_exists',
            `The tenant "${tenantId}" has a token named "${name}" already: revoke it first.`,
          );
        }
        sql(
          `INSERT INTO tokens (tenant_id, name, hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (tenant_id, name) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at,
               expires_at = excluded.expires_at, last_used_at = NULL`,
        ).run(tenantId, name, hash, now, expiresAt);
        const event = old === undefined ? 'token.created' : 'token.changed';
        append({ event, actor, tenantId, subject: name, detail: { expiresAt } }, now);
      }),
    revoke: (scope, name, { actor, now }) =>
      writer.run(() => {
        const { tenantId } = scope;
        const { changes } = sql('DELETE FROM tokens WHERE tenant_id = ? AND name = ?').run(tenantId, name);
        if (changes > 0) append({ event: 'token.revoked', actor, tenantId, subject: name, detail: {} }, now);
        return changes > 0;
      }),
    touch: (pks, now) =>
      writer.run(() => {
        for (const pk of pks) sql('UPDATE tokens SET last_used_at = ? WHERE pk = ?').run(now, pk);
      }),
  };
}

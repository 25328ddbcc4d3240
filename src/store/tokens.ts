import type { Sql } from './statements.js';

/** A tenant's token as stored: its hash, never the token. */
export interface StoredToken {
  pk: number;
  tenantId: string;
  name: string;
  hash: string;
  expiresAt: number | null;
  /** Whether the tenant may act at all. */
  tenantActive: boolean;
}

/** Tokens, looked up before it is known which tenant calls. */
export interface TokenStore {
  findByHash(hash: string): Promise<StoredToken | undefined>;
  /** All tokens of one tenant, for the operator's view. */
  listOfTenant(tenantId: string): Promise<StoredToken[]>;
}

function tokenFromRow(row: Record<string, unknown>): StoredToken {
  return {
    pk: row.pk as number,
    tenantId: row.tenant_id as string,
    name: row.name as string,
    hash: row.hash as string,
    expiresAt: row.expires_at as number | null,
    tenantActive: row.active === 1,
  };
}

const SELECT = 'SELECT tokens.*, tenants.active FROM tokens JOIN tenants ON tenants.id = tokens.tenant_id';

/** Tokens over one connection. */
export function createTokenStore(sql: Sql): TokenStore {
  return {
    async findByHash(hash) {
      const row = sql(`${SELECT} WHERE tokens.hash = ?`).get(hash);
      return row === undefined ? undefined : tokenFromRow(row);
    },
    async listOfTenant(tenantId) {
      return sql(`${SELECT} WHERE tokens.tenant_id = ? ORDER BY name`).all(tenantId).map(tokenFromRow);
    },
  };
}

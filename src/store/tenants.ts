import type { Change, SealedSecret, Tenant } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import { createPickMessages, repeat } from './bounded.js';
import { changedFields } from './changed-fields.js';
import { primaryKeyId } from './primary-key.js';
import { accountRateScope, createRateLedger, tenantRateScope } from './rate-charges.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import { createTakeBack } from './take-back.js';
import { refuseTakenHash } from './tokens.js';
import type { Writer } from './writer.js';

/** A tenant with its sealed secrets. */
export interface StoredTenant extends Tenant {
  clientAuthSecret: SealedSecret | null;
  webhookSecret: SealedSecret | null;
}

/** What a change of a tenant results in; `token`, when given, becomes its token named `default`. */
export interface TenantChange {
  tenant: Omit<StoredTenant, 'id' | 'createdAt' | 'updatedAt' | 'hasWebhookSecret'>;
  token?: { hash: string; expiresAt: number | null };
}

/** Tenants: the one table that lists across tenants, for the operator. */
export interface TenantStore {
  get(scope: TenantScope): Promise<StoredTenant | undefined>;
  /** For the operator and the dispatcher: all tenants in order of id, after `after`. */
  listAll(page: { after?: string; limit: number; activeOnly: boolean }): Promise<Tenant[]>;
  /**
   * Creates or changes a tenant in one transaction; `change` gets the present row and the key that secrets are sealed
   * under, and may throw to change nothing.
   *
   * @throws MailProxyError `already_exists` when another tenant has the token.
   */
  put(
    scope: TenantScope,
    by: Change,
    change: (current: StoredTenant | undefined, primaryKeyId: string | undefined) => TenantChange,
  ): Promise<Tenant>;
  /**
   * Removes a tenant and everything that belongs to it, in short transactions: the first takes its right to send and to
   * call, so that what is interrupted leaves an inactive tenant. False when there is none.
   */
  delete(scope: TenantScope, by: Change): Promise<boolean>;
}

const sealed = (value: unknown, keyId: unknown): SealedSecret | null =>
  value === null ? null : { value: value as string, keyId: keyId as string };

function tenantFromRow(row: Record<string, unknown>): StoredTenant {
  return {
    id: row.id as string,
    name: row.name as string,
    active: row.active === 1,
    clientBaseUrl: row.client_base_url as string | null,
    clientSyncPath: row.client_sync_path as string,
    clientAttachmentPath: row.client_attachment_path as string,
    clientAuthMethod: row.client_auth_method as Tenant['clientAuthMethod'],
    clientAuthUser: row.client_auth_user as string | null,
    clientAuthSecret: sealed(row.client_auth_secret, row.client_auth_key_id),
    webhookSecret: sealed(row.webhook_secret, row.webhook_secret_key_id),
    hasWebhookSecret: row.webhook_secret !== null,
    limitHourly: row.limit_hourly as number | null,
    limitDaily: row.limit_daily as number | null,
    onUncertain: row.on_uncertain as Tenant['onUncertain'],
    useGlobalSync: row.use_global_sync === 1,
    attachmentRoots: JSON.parse(row.attachment_roots as string) as string[],
    createdAt: row.created_at as number,
    updatedAt: row.updated_at as number,
  };
}

/** The view without sealed secrets. */
export function withoutSecrets(stored: StoredTenant): Tenant {
  const { clientAuthSecret: _auth, webhookSecret: _webhook, ...tenant } = stored;
  return tenant;
}

/** Records of idempotency keys that go in one transaction, each with its parts. */
const REQUESTS_A_STEP = 200;

/** Tenants over one connection. */
export function createTenantStore(sql: Sql, writer: Writer, append: AppendAudit): TenantStore {
  const pick = createPickMessages(sql);
  const ledger = createRateLedger(sql);
  const takeBack = createTakeBack(sql);
  const find = (tenantId: string): StoredTenant | undefined => {
    const row = sql('SELECT * FROM tenants WHERE id = ?').get(tenantId);
    return row === undefined ? undefined : tenantFromRow(row);
  };
  const write = (tenantId: string, now: number, { tenant, token }: TenantChange): void => {
    sql(
      `INSERT INTO tenants VALUES (@id, @name, @active, @clientBaseUrl, @clientSyncPath, @clientAttachmentPath,
         @clientAuthMethod, @clientAuthUser, @authValue, @authKeyId, @webhookValue, @webhookKeyId, @limitHourly, @limitDaily,
         @onUncertain, @useGlobalSync, @attachmentRoots, @now, @now)
       ON CONFLICT DO UPDATE SET name = @name, active = @active, client_base_url = @clientBaseUrl,
         client_sync_path = @clientSyncPath, client_attachment_path = @clientAttachmentPath,
         client_auth_method = @clientAuthMethod, client_auth_user = @clientAuthUser, client_auth_secret = @authValue,
         client_auth_key_id = @authKeyId, webhook_secret = @webhookValue, webhook_secret_key_id = @webhookKeyId,
         limit_hourly = @limitHourly, limit_daily = @limitDaily, on_uncertain = @onUncertain,
         use_global_sync = @useGlobalSync, attachment_roots = @attachmentRoots, updated_at = @now`,
    ).run({
      id: tenantId,
      now,
      name: tenant.name,
      active: Number(tenant.active),
      clientBaseUrl: tenant.clientBaseUrl,
      clientSyncPath: tenant.clientSyncPath,
      clientAttachmentPath: tenant.clientAttachmentPath,
      clientAuthMethod: tenant.clientAuthMethod,
      clientAuthUser: tenant.clientAuthUser,
      authValue: tenant.clientAuthSecret?.value ?? null,
      authKeyId: tenant.clientAuthSecret?.keyId ?? null,
      webhookValue: tenant.webhookSecret?.value ?? null,
      webhookKeyId: tenant.webhookSecret?.keyId ?? null,
      limitHourly: tenant.limitHourly,
      limitDaily: tenant.limitDaily,
      onUncertain: tenant.onUncertain,
      useGlobalSync: Number(tenant.useGlobalSync),
      attachmentRoots: JSON.stringify(tenant.attachmentRoots),
    });
    if (!tenant.active) takeBack(tenantId, undefined, now);
    if (token !== undefined) {
      refuseTakenHash(sql, token.hash, tenantId, 'default');
      sql(
        `INSERT INTO tokens (tenant_id, name, hash, created_at, expires_at) VALUES (?, 'default', ?, ?, ?)
           ON CONFLICT (tenant_id, name) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at,
             expires_at = excluded.expires_at, last_used_at = NULL`,
      ).run(tenantId, token.hash, now, token.expiresAt);
    }
  };
  const audit = (
    tenantId: string,
    old: StoredTenant | undefined,
    { tenant, token }: TenantChange,
    { actor, now }: Change,
  ): void => {
    const changed = changedFields(old, tenant);
    if (old === undefined)
      append({ event: 'tenant.created', actor, tenantId, subject: null, detail: {} }, now);
    else if (changed.length > 0) {
      append({ event: 'tenant.updated', actor, tenantId, subject: null, detail: { changed } }, now);
    }
    if (token !== undefined) {
      const event = old === undefined ? 'token.created' : 'token.changed';
      append({ event, actor, tenantId, subject: 'default', detail: { expiresAt: token.expiresAt } }, now);
    }
  };
  /** One short transaction on the way to a deleted tenant; the last one takes what is few and decides. */
  const deleteStep = (tenantId: string, { actor, now }: Change): boolean | 'more' => {
    const { pks } = pick('SELECT pk FROM messages WHERE tenant_id = ? ORDER BY pk', tenantId);
    for (const pk of pks) sql('DELETE FROM messages WHERE pk = ?').run(pk);
    if (pks.length > 0) return 'more';
    const forgotten = sql(
      'DELETE FROM keyed_requests WHERE pk IN (SELECT pk FROM keyed_requests WHERE tenant_id = ? LIMIT ?)',
    ).run(tenantId, REQUESTS_A_STEP);
    if (forgotten.changes > 0) return 'more';
    const accounts = sql('SELECT pk FROM accounts WHERE tenant_id = ?').all(tenantId);
    const scopes = [tenantRateScope(tenantId), ...accounts.map(({ pk }) => accountRateScope(pk as number))];
    if (scopes.some((scope) => ledger.forget(scope))) return 'more';
    if (sql('DELETE FROM tenants WHERE id = ?').run(tenantId).changes === 0) return false;
    append({ event: 'tenant.deleted', actor, tenantId, subject: null, detail: {} }, now);
    return true;
  };

  return {
    async get(scope) {
      return find(scope.tenantId);
    },
    async listAll({ after, limit, activeOnly }) {
      return sql('SELECT * FROM tenants WHERE id > ? AND active >= ? ORDER BY id LIMIT ?')
        .all(after ?? '', Number(activeOnly), limit)
        .map((row) => withoutSecrets(tenantFromRow(row)));
    },
    put: (scope, by, change) =>
      writer.run(() => {
        const { tenantId } = scope;
        const old = find(tenantId);
        const next = change(old, primaryKeyId(sql));
        write(tenantId, by.now, next);
        audit(tenantId, old, next, by);
        return withoutSecrets(find(tenantId) as StoredTenant);
      }),
    async delete({ tenantId }, by) {
      const suspended = await writer.run(() => {
        const { changes } = sql('UPDATE tenants SET active = 0 WHERE id = ?').run(tenantId);
        // Its end is written down before it begins: without the trail nothing is taken from the tenant.
        if (changes > 0) {
          const detail = { changed: ['active'], deleting: true };
          append({ event: 'tenant.updated', actor: by.actor, tenantId, subject: null, detail }, by.now);
        }
        return changes > 0;
      });
      return suspended && (await repeat(() => writer.run(() => deleteStep(tenantId, by))));
    },
  };
}

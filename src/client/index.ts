import type {
  AccountWire,
  EventWire,
  HoldWire,
  MessageWire,
  SuspensionWire,
  TenantWire,
  TokenWire,
} from '../core/wire.js';
import { type ClientOptions, createRequester } from './request.js';
import type {
  AccountRequest,
  AccountTestAnswer,
  AuditVerificationAnswer,
  DeletedAnswer,
  KeyVerification,
  KeyWire,
  MessageBatchAnswer,
  MessageBatchRequest,
  MessageListRequest,
  PageRequest,
  RetriedAnswer,
  RetryRequest,
  StatusAnswer,
  TenantCreated,
  TenantRequest,
  WireTime,
} from './types.js';

export { type ErrorCode, type FieldIssue, MailProxyError } from '../core/errors.js';
export type {
  AccountWire,
  EventWire,
  HoldWire,
  MessageWire,
  SuspensionWire,
  TenantWire,
  TokenWire,
} from '../core/wire.js';
export type { ClientOptions } from './request.js';
export type * from './types.js';

/**
 * A mail-proxy server. Every method rejects with a `MailProxyError` that carries the server's code. `tenantId` may be
 * undefined with a tenant token, which is its own, and with an admin token where a list is of all tenants.
 */
export interface Client {
  /** Whether the server can work. @throws MailProxyError `store_unavailable`. */
  health(): Promise<void>;
  status(tenantId?: string): Promise<StatusAnswer>;
  /** Creates or updates a tenant; for admin tokens. */
  putTenant(tenant: TenantRequest): Promise<TenantCreated>;
  listTenants(
    page?: PageRequest & { active_only?: boolean },
  ): Promise<{ tenants: TenantWire[]; next_cursor?: string }>;
  /** Without its secrets. */
  getTenant(id: string): Promise<TenantWire>;
  /** Removes a tenant and everything that belongs to it; for admin tokens. */
  deleteTenant(id: string): Promise<void>;
  /** Makes a named token; it is answered once. For admin tokens, like all about tokens, keys and the audit trail. */
  createToken(tenantId: string, token: { name: string; expires_at?: WireTime }): Promise<string>;
  listTokens(tenantId: string): Promise<TokenWire[]>;
  revokeToken(tenantId: string, name: string): Promise<void>;
  /** Makes a new admin token; the one this client uses is dead then. */
  rotateAdminToken(): Promise<string>;
  listKeys(): Promise<KeyWire[]>;
  verifyKeys(): Promise<KeyVerification>;
  /** Puts every secret down under the primary key, with the keys that the daemon holds. */
  reencrypt(): Promise<{ key_id: string; reencrypted: number; retired: string[] }>;
  verifyAudit(head?: string): Promise<AuditVerificationAnswer>;
  /** Adds or replaces an account. */
  putAccount(account: AccountRequest): Promise<void>;
  listAccounts(
    page?: PageRequest & { tenant_id?: string },
  ): Promise<{ accounts: AccountWire[]; next_cursor?: string }>;
  getAccount(tenantId: string | undefined, id: string): Promise<AccountWire>;
  /** With `force` the account's unsent messages end in error. */
  deleteAccount(tenantId: string | undefined, id: string, options?: { force?: boolean }): Promise<void>;
  /** Connects and logs in as for sending; an account that cannot is an answer, not a failure. */
  testAccount(tenantId: string | undefined, id: string): Promise<AccountTestAnswer>;
  /**
   * Resolves once the batch is on the server's disk. With `idempotencyKey`, a name for this very batch, it may be sent again when
   * it is not known whether it arrived: the server gives the same answer for 24 hours, and stores nothing again.
   */
  addMessages(batch: MessageBatchRequest, options?: { idempotencyKey?: string }): Promise<MessageBatchAnswer>;
  listMessages(filter?: MessageListRequest): Promise<{ messages: MessageWire[]; next_cursor?: string }>;
  getMessage(tenantId: string | undefined, id: string): Promise<MessageWire & { hold: HoldWire }>;
  /** What happened to a message, oldest first. */
  listEvents(
    tenantId: string | undefined,
    id: string,
    page?: { limit?: number; cursor?: string },
  ): Promise<{ events: EventWire[]; next_cursor?: string }>;
  /** Stops the sending of one batch, or with `batchCode` undefined of the tenant. */
  suspend(tenantId: string | undefined, batchCode?: string): Promise<SuspensionWire>;
  /** Sends again: one batch, or everything; with `keepBatches` all but what was suspended as a batch. */
  activate(
    tenantId: string | undefined,
    what?: { batchCode?: string | undefined; keepBatches?: boolean },
  ): Promise<SuspensionWire & { activated_batches: string[] }>;
  /** Deletes messages for good, but those that the server may have already. */
  deleteMessages(tenantId: string | undefined, ids: readonly string[]): Promise<DeletedAnswer>;
  /** Has messages tried again at once; with a filter go on with `next_cursor` while there is one. */
  retryMessages(tenantId: string | undefined, which: RetryRequest): Promise<RetriedAnswer>;
  /** Says what became of an uncertain message. */
  resolveMessage(
    tenantId: string | undefined,
    id: string,
    resolution: { outcome: 'sent' | 'retry' | 'error'; reason?: string | undefined },
  ): Promise<MessageWire>;
  /**
   * Removes messages that have been final for longer than so many seconds, the server's retention time when left out.
   *
   * @returns How many were removed.
   */
  cleanupMessages(tenantId: string | undefined, olderThanSeconds?: number): Promise<number>;
  /** Sends what is due now. */
  runNow(tenantId?: string): Promise<void>;
  /** The OpenAPI document of the server. */
  openApi(): Promise<Record<string, unknown>>;
}

/**
 * Makes a client of a mail-proxy server.
 *
 * @throws TypeError when `url` is none.
 */
export function createClient(options: ClientOptions): Client {
  const request = createRequester(options);
  const get = (path: string, query: Record<string, string | number | boolean | undefined> = {}) =>
    request({ method: 'GET', path, query });
  const command = (
    name: string,
    query: Record<string, string | number | boolean | undefined>,
    body?: unknown,
  ) =>
    request({
      method: 'POST',
      path: `/commands/${name}`,
      query,
      ...(body === undefined ? {} : { body }),
    });
  // The contract says what each route answers; the server's own schemas are tested against these types.
  const as = <T>(answer: Record<string, unknown>): T => {
    const { ok: _ok, ...fields } = answer;
    return fields as T;
  };
  const account = (id: string) => `/account/${encodeURIComponent(id)}`;
  const tokens = (tenantId: string) => `/tenant/${encodeURIComponent(tenantId)}/tokens`;
  return {
    async health() {
      await get('/health');
    },
    status: async (tenantId) => as(await get('/status', { tenant_id: tenantId })),
    async putTenant(tenant) {
      const answer = await request({ method: 'POST', path: '/tenant', body: tenant });
      const secret = (value: unknown) => (typeof value === 'string' ? value : undefined);
      return {
        created: answer.tenant_id !== undefined,
        api_key: secret(answer.api_key),
        webhook_secret: secret(answer.webhook_secret),
      };
    },
    listTenants: async (page = {}) => as(await get('/tenants', { ...page })),
    getTenant: async (id) => as(await get(`/tenant/${encodeURIComponent(id)}`)),
    async deleteTenant(id) {
      await request({ method: 'DELETE', path: `/tenant/${encodeURIComponent(id)}` });
    },
    async createToken(tenantId, body) {
      return String((await request({ method: 'POST', path: tokens(tenantId), body })).token);
    },
    listTokens: async (tenantId) => as<{ tokens: TokenWire[] }>(await get(tokens(tenantId))).tokens,
    async revokeToken(tenantId, name) {
      await request({ method: 'DELETE', path: `${tokens(tenantId)}/${encodeURIComponent(name)}` });
    },
    async rotateAdminToken() {
      return String((await request({ method: 'POST', path: '/commands/rotate-token' })).token);
    },
    listKeys: async () => as<{ keys: KeyWire[] }>(await get('/keys')).keys,
    async verifyKeys() {
      const answer = await request({ method: 'POST', path: '/keys/verify', isBare: true });
      return { ...as<Omit<KeyVerification, 'ok'>>(answer), ok: answer.ok === true };
    },
    reencrypt: async () => as(await request({ method: 'POST', path: '/keys/reencrypt' })),
    async verifyAudit(head) {
      const body = head === undefined ? {} : { head };
      const answer = await request({ method: 'POST', path: '/command-log/verify', body, isBare: true });
      return { ...as<Omit<AuditVerificationAnswer, 'ok'>>(answer), ok: answer.ok === true };
    },
    async putAccount(body) {
      await request({ method: 'POST', path: '/account', body });
    },
    listAccounts: async (page = {}) => as(await get('/accounts', { ...page })),
    getAccount: async (tenantId, id) => as(await get(account(id), { tenant_id: tenantId })),
    async deleteAccount(tenantId, id, { force } = {}) {
      await request({ method: 'DELETE', path: account(id), query: { tenant_id: tenantId, force } });
    },
    async testAccount(tenantId, id) {
      const path = `${account(id)}/test`;
      const answer = await request({
        method: 'POST',
        path,
        query: { tenant_id: tenantId },
        isBare: true,
      });
      return { ...as<Omit<AccountTestAnswer, 'ok'>>(answer), ok: answer.ok === true };
    },
    addMessages: async (body, { idempotencyKey } = {}) =>
      as(
        await request({
          method: 'POST',
          path: '/commands/add-messages',
          body,
          headers: { 'Idempotency-Key': idempotencyKey },
        }),
      ),
    listMessages: async (filter = {}) => as(await get('/messages', { ...filter })),
    getMessage: async (tenantId, id) =>
      as(await get(`/messages/${encodeURIComponent(id)}`, { tenant_id: tenantId })),
    listEvents: async (tenantId, id, page = {}) =>
      as(await get(`/messages/${encodeURIComponent(id)}/events`, { tenant_id: tenantId, ...page })),
    suspend: async (tenantId, batchCode) =>
      as(await command('suspend', { tenant_id: tenantId, batch_code: batchCode })),
    activate: async (tenantId, { batchCode, keepBatches } = {}) =>
      as(
        await command('activate', {
          tenant_id: tenantId,
          batch_code: batchCode,
          keep_batches: keepBatches === true ? true : undefined,
        }),
      ),
    deleteMessages: async (tenantId, ids) =>
      as(await command('delete-messages', { tenant_id: tenantId }, { ids })),
    retryMessages: async (tenantId, which) =>
      as(await command('retry-messages', { tenant_id: tenantId }, which)),
    resolveMessage: async (tenantId, id, body) =>
      as(
        await request({
          method: 'POST',
          path: `/messages/${encodeURIComponent(id)}/resolve`,
          query: { tenant_id: tenantId },
          body,
        }),
      ),
    async cleanupMessages(tenantId, olderThanSeconds) {
      const body = {
        ...(tenantId === undefined ? {} : { tenant_id: tenantId }),
        ...(olderThanSeconds === undefined ? {} : { older_than_seconds: olderThanSeconds }),
      };
      return Number((await request({ method: 'POST', path: '/commands/cleanup-messages', body })).removed);
    },
    async runNow(tenantId) {
      await request({ method: 'POST', path: '/commands/run-now', query: { tenant_id: tenantId } });
    },
    openApi: () => request({ method: 'GET', path: '/openapi.json', isBare: true }),
  };
}

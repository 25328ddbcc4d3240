import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { Change, NewMessage } from '../../src/core/types.js';
import type { AccountChange } from '../../src/store/accounts.js';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { openStoreAndMigrate, type Store } from '../../src/store/store.js';
import type { TenantChange } from '../../src/store/tenants.js';

/** Noon of a day that no test cares about, in Unix milliseconds. */
export const NOON = Date.UTC(2030, 0, 1, 12);

/** Who changes something in tests, and when. */
export const by = (now: number): Change => ({ actor: { kind: 'os-user', name: 'test' }, now });

const AUDIT_KEY = Buffer.alloc(32, 7);

async function openUnlocked(path: string): Promise<Store> {
  const { store } = await openStoreAndMigrate(path);
  store.audit.unlock(AUDIT_KEY, 1);
  return store;
}

/** A store without services over it, and a second connection that looks behind its back. */
export interface TempStore {
  store: Store;
  path: string;
  directory: string;
  /** Reads and writes the same file as another process would. */
  raw: Database.Database;
  /** Closes the store and opens the file again, as a restart does. */
  reopen(): Promise<Store>;
  close(): Promise<void>;
}

/** Opens a store in a directory of its own; `close` removes it. */
export async function openTempStore(): Promise<TempStore> {
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-store-'));
  const path = join(directory, 'server', 'mail.db');
  const opened: TempStore = {
    store: await openUnlocked(path),
    path,
    directory,
    raw: new Database(path, { timeout: 1000 }),
    async reopen() {
      await opened.store.close();
      opened.store = await openUnlocked(path);
      return opened.store;
    },
    async close() {
      opened.raw.close();
      await opened.store.close();
      rmSync(directory, { recursive: true, force: true });
    },
  };
  return opened;
}

/** What a plain tenant is stored as. */
export function tenantChange(changes: Partial<TenantChange['tenant']> = {}): TenantChange {
  return {
    tenant: {
      name: 'A tenant',
      active: true,
      clientBaseUrl: null,
      clientSyncPath: '/sync',
      clientAttachmentPath: '/attachments',
      clientAuthMethod: 'none',
      clientAuthUser: null,
      clientAuthSecret: null,
      webhookSecret: null,
      limitHourly: null,
      limitDaily: null,
      onUncertain: 'retry',
      useGlobalSync: false,
      attachmentRoots: [],
      ...changes,
    },
  };
}

/** What a plain account is stored as. */
export function accountChange(changes: Partial<AccountChange> = {}): AccountChange {
  return {
    host: 'smtp.example.com',
    port: 587,
    tls: 'starttls',
    tlsVerify: true,
    tlsCa: null,
    user: null,
    password: null,
    limitMinute: null,
    limitHour: null,
    limitDay: null,
    limitBehavior: 'defer',
    maxConnections: 5,
    fromAddress: null,
    isDefault: false,
    setBy: 'operator',
    verifiedTlsAt: null,
    ...changes,
  };
}

/** A message to one recipient, due at once. */
export function newMessage(id: string, changes: Partial<NewMessage> = {}): NewMessage {
  return {
    id,
    accountId: undefined,
    envelope: { from: 'a@example.com', to: ['b@example.org'] },
    contentKind: 'raw',
    content: Buffer.from(`Message-ID: <${id}@example.com>\r\nSubject: ${id}\r\n\r\nhello\r\n`),
    subject: id,
    priority: 2,
    deferredAt: undefined,
    expiresAt: NOON + 48 * 3_600_000,
    batchCode: undefined,
    ...changes,
  };
}

/** Adds a tenant with one account and gives the tenant's scope and the account's lane. */
export async function addLane(
  store: Store,
  tenantId: string,
  account: Partial<AccountChange> = {},
  tenant: Partial<TenantChange['tenant']> = {},
  accountId = 'smtp1',
): Promise<{ scope: TenantScope; lane: { accountPk: number; tenantId: string } }> {
  const scope = tenantScope(tenantId);
  await store.tenants.put(scope, by(NOON), () => tenantChange(tenant));
  const { pk } = await store.accounts.put(scope, accountId, by(NOON), () => accountChange(account));
  return { scope, lane: { accountPk: pk, tenantId } };
}

/** What SQLite counts, to hold the kept counters against. */
export function countedBySqlite(raw: Database.Database): Record<string, number> {
  const rows = raw
    .prepare(
      `SELECT tenant_id || ':' || account_pk || ':' || state AS k, COUNT(*) AS n FROM messages GROUP BY 1`,
    )
    .all() as Array<{ k: string; n: number }>;
  return Object.fromEntries(rows.map(({ k, n }) => [k, n]));
}

/** The kept counters, those of nothing left out. */
export function keptCounters(raw: Database.Database): Record<string, number> {
  const rows = raw
    .prepare(`SELECT tenant_id || ':' || account_pk || ':' || state AS k, n FROM message_counts WHERE n <> 0`)
    .all() as Array<{ k: string; n: number }>;
  return Object.fromEntries(rows.map(({ k, n }) => [k, n]));
}

import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Change } from '../../src/core/types.js';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { hashToken } from '../../src/crypto/token.js';
import { beginAuditChain } from '../../src/services/audit-chain.js';
import type { ServiceContext } from '../../src/services/context.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { openStoreAndMigrate, type Store } from '../../src/store/store.js';

/** A real store in a directory of its own, with a key and helpers to fill it. */
export interface TestStore {
  store: Store;
  /** Of the database. */
  path: string;
  keyring: Keyring;
  /** Acts as the operator of this machine. */
  context: ServiceContext;
  /** Time of the context in Unix milliseconds; tests may move it. */
  clock: { now: number };
  setAdminToken(token: string): Promise<void>;
  /** Adds a tenant with a token of its own choice. */
  addTenant(id: string, token: string, settings?: { active?: boolean; expiresAt?: number }): Promise<void>;
  close(): Promise<void>;
}

/** Opens a new store in a temporary directory; `close` removes it. */
export async function openTestStore(): Promise<TestStore> {
  const directory = await mkdtemp(join(tmpdir(), 'mail-proxy-test-'));
  const path = join(directory, 'server.db');
  const { store } = await openStoreAndMigrate(path);
  const key = randomBytes(32);
  const id = keyIdOf(key);
  const keyring = new Keyring([{ id, key, source: 'test', kind: 'environment' }], id);
  const clock = { now: Date.UTC(2030, 0, 1) };
  const context: ServiceContext = {
    store,
    keyring,
    actor: { kind: 'os-user', name: 'test' },
    now: () => clock.now,
  };
  const by: Change = { actor: { kind: 'daemon' }, now: clock.now };
  await beginAuditChain(store, keyring, by, undefined);
  await store.keys.makePrimary(id, 'test', by);
  return {
    store,
    path,
    keyring,
    context,
    clock,
    setAdminToken: (token) => store.settings.set('admin_token_hash', hashToken(token), by),
    async addTenant(tenantId, token, { active = true, expiresAt } = {}) {
      await putTenant(context, tenantId, { active }, { token, expiresAt }, 'create');
    },
    async close() {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

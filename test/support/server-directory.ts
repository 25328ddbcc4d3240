import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { serverPaths } from '../../src/config/server-paths.js';
import type { Environment } from '../../src/crypto/key-sources.js';
import type { ServiceContext } from '../../src/services/context.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { unlockKeys } from '../../src/services/unlock-keys.js';
import { tenantScope } from '../../src/store/scope.js';
import { openStoreAndMigrate, type Store } from '../../src/store/store.js';
import { by, NOON, newMessage } from './temp-store.js';

/** The directory of a server, as the command line finds it; no daemon runs. */
export interface ServerDirectory {
  directory: string;
  database: string;
  env: Environment;
  store: Store;
  context: ServiceContext;
  enqueue(tenantId: string, ...ids: string[]): Promise<void>;
  /** Ids of all messages of the database as it is now, in order. */
  ids(path?: string): Promise<string[]>;
  /** Closes the store: the server is stopped. */
  stop(): Promise<void>;
  close(): Promise<void>;
}

/** Makes a server with the tenants `acme` and `globex`, each with an account whose password is `password`. */
export async function makeServerDirectory(password = 'swordfish'): Promise<ServerDirectory> {
  const home = mkdtempSync(join(tmpdir(), 'mail-proxy-home-'));
  const directory = join(home, 'alpha');
  const env: Environment = { MAIL_PROXY_HOME: home };
  const { database } = serverPaths(directory, env);
  const { store } = await openStoreAndMigrate(database);
  const { keyring } = await unlockKeys(
    store,
    { env, serverDirectory: directory },
    { mayCreate: true, holdUnreadable: false, by: by(NOON) },
  );
  const actor = { kind: 'os-user', name: 'test' } as const;
  const context: ServiceContext = { store, keyring, actor, now: () => NOON };
  for (const id of ['acme', 'globex']) {
    await putTenant(context, id, {}, { token: `${id}-token`, expiresAt: undefined }, 'create');
    await putAccount(context, id, 'smtp1', { host: 'smtp.example.com', user: 'u', password }, 'replace');
  }
  return {
    directory,
    database,
    env,
    store,
    context,
    async enqueue(tenantId, ...ids) {
      await store.queue.enqueue(
        tenantScope(tenantId),
        ids.map((id) => newMessage(id)),
        NOON,
      );
    },
    async ids(path = database) {
      const { store: opened } = await openStoreAndMigrate(path);
      const { messages } = await opened.messages.listOfAllTenants({}, { limit: 1000 });
      await opened.close();
      return messages.map(({ id }) => id).reverse();
    },
    stop: () => store.close(),
    async close() {
      await store.close();
      rmSync(home, { recursive: true, force: true });
    },
  };
}

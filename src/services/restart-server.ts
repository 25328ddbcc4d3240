import { statSync } from 'node:fs';
import type { DaemonReady } from '../config/boot.js';
import { resolveDaemonConfig } from '../config/daemon-config.js';
import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import { findKeys } from '../crypto/key-sources.js';
import { openStore, type Store } from '../store/store.js';
import { checkAdminToken } from './admin-token.js';
import { type StartRequest, startServer } from './start-server.js';
import { stopServer } from './stop-server.js';
import { firstThatEncrypts, refuseMissing } from './unlock-keys.js';

/**
 * Stops a server's daemon, if it runs, and starts it again. What the start would refuse is checked first: a daemon that could
 * not come back is not stopped.
 *
 * @throws MailProxyError `key_missing`, `key_invalid`, `usage` for a setting that is not understood, and what stopping and
 * starting throw.
 */
export async function restartServer(request: StartRequest): Promise<DaemonReady> {
  const store = await openPresentStore(request);
  try {
    await requireStartable(request, store);
  } finally {
    await store?.close();
  }
  await stopServer(request.directory, request.env, false);
  return await startServer(request);
}

/** Undefined while there is no database, and when its schema is older: that is for the new daemon to make or migrate. */
async function openPresentStore({ directory, env }: StartRequest): Promise<Store | undefined> {
  const { database } = serverPaths(directory, env);
  if (statSync(database, { throwIfNoEntry: false }) === undefined) return undefined;
  return await openStore(database).catch((error: unknown) => {
    if (error instanceof MailProxyError && error.code === 'schema_mismatch') return undefined;
    throw error;
  });
}

async function requireStartable(request: StartRequest, store: Store | undefined): Promise<void> {
  const { directory, env, host, port } = request;
  resolveDaemonConfig({
    flags: { host, port },
    env,
    stored: { host: await store?.settings.get('host'), port: await store?.settings.get('port') },
  });
  if (store === undefined) return;
  const keys = findKeys(env, directory, await store.keys.ids());
  if (request.holdUnreadable !== true) refuseMissing(keys, await store.secrets.countByKey());
  if (keys.length > 0) firstThatEncrypts(keys);
  const token = request.apiToken ?? env.GMP_API_TOKEN;
  await checkAdminToken(store, token === undefined ? undefined : { token }, { mayCreate: true });
}

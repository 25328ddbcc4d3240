import { statSync } from 'node:fs';
import type { DaemonReady } from '../config/boot.js';
import { serverPaths } from '../config/server-paths.js';
import { findKeys } from '../crypto/key-sources.js';
import { openStore } from '../store/store.js';
import { type StartRequest, startServer } from './start-server.js';
import { stopServer } from './stop-server.js';
import { refuseMissing } from './unlock-keys.js';

/**
 * Stops a server's daemon, if it runs, and starts it again. The keys are checked first: a daemon that could not come back is
 * not stopped.
 *
 * @throws MailProxyError `key_missing`, `key_invalid`, and what stopping and starting throw.
 */
export async function restartServer(request: StartRequest): Promise<DaemonReady> {
  const { database } = serverPaths(request.directory, request.env);
  if (statSync(database, { throwIfNoEntry: false }) !== undefined) await requireKeys(request, database);
  await stopServer(request.directory, request.env, false);
  return await startServer(request);
}

async function requireKeys({ directory, env }: StartRequest, database: string): Promise<void> {
  const store = await openStore(database).catch((error: unknown) => {
    // An older schema is for the new daemon to migrate; it checks the keys itself.
    if (error instanceof Error && 'code' in error && error.code === 'schema_mismatch') return undefined;
    throw error;
  });
  if (store === undefined) return;
  try {
    refuseMissing(
      findKeys(env, directory, await store.settings.keyIds()),
      await store.settings.secretsByKey(),
    );
  } finally {
    await store.close();
  }
}

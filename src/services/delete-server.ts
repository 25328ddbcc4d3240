import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { relative, resolve } from 'node:path';
import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import { takeServerLock } from '../store/server-lock.js';
import { serverStatus } from './server-status.js';

type Env = Readonly<Record<string, string | undefined>>;

/** @throws MailProxyError `daemon_running` while the server's daemon runs. */
export function refuseRunning(server: string, directory: string, env: Env): void {
  if (serverStatus(server, directory, env, Date.now()).state !== 'running') return;
  throw new MailProxyError(
    'daemon_running',
    `The server "${server}" is running: stop it first with "mail-proxy stop ${server}".`,
  );
}

/** Files of a server that are outside its directory: those of a database that `GMP_DB_PATH` moved. */
export function filesElsewhere(directory: string, env: Env): string[] {
  const { database, lock } = serverPaths(directory, env);
  if (!relative(directory, resolve(database)).startsWith('..')) return [];
  return [database, `${database}-wal`, `${database}-shm`, lock];
}

/** Removes a stopped server's directory, and its database wherever it is. No daemon can start meanwhile: the lock is held. */
export async function deleteServer(server: string, directory: string, env: Env): Promise<void> {
  const paths = serverPaths(directory, env);
  refuseRunning(server, directory, env);
  const lock = existsSync(paths.database) ? takeServerLock(paths.lock) : undefined;
  try {
    for (const file of filesElsewhere(directory, env)) await rm(file, { force: true });
    await rm(directory, { recursive: true, force: true });
  } finally {
    lock?.release();
  }
}

import { existsSync, linkSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { makePrivateDirectory } from '../config/private-directory.js';
import { type ServerPaths, serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import { formatFileTime } from '../core/time.js';
import type { Environment } from '../crypto/key-sources.js';
import { checkDatabase } from '../store/check-database.js';
import { copyDatabase } from '../store/copy-database.js';
import { makeDirectoryOf } from '../store/database.js';
import { syncDirectoryOf, syncPath } from '../store/durable-files.js';
import { openServer } from './open-server.js';

/** How a backup is made. */
export interface BackupOptions {
  /** Where to; a file in the server's `backups` directory, named after the time, when undefined. */
  file: string | undefined;
  /** Whether a file that is there already is replaced. */
  overwrite: boolean;
  /** Unix milliseconds. */
  now(): number;
  /** Told what is done and in all; what it throws ends the backup, of which nothing is left. */
  onProgress(done: number, total: number): void;
}

/** A backup that was made. */
export interface Backup {
  /** Absolute path. */
  file: string;
  bytes: number;
  schema: number;
  /** Why the audit trail does not note it; undefined when it does. */
  unaudited: string | undefined;
}

/**
 * Makes a consistent copy of a server's database, its daemon running or not. It is whole, checked and on disk before it has its
 * name. Keys are not in it.
 *
 * @throws MailProxyError `already_exists`, `usage`, `server_not_found`, `schema_mismatch` or `store_unavailable`.
 */
export async function backupServer(
  server: string,
  directory: string,
  env: Environment,
  options: BackupOptions,
): Promise<Backup> {
  const paths = serverPaths(directory, env);
  const file = targetOf(server, paths, options);
  refuseTarget(file, paths, options.overwrite);
  const temporary = `${file}.${process.pid}.partial`;
  try {
    rmSync(temporary, { force: true });
    await copyDatabase(paths.database, temporary, options.onProgress);
    const { schema } = checkDatabase(temporary, 'quick', 'The copy');
    syncPath(temporary);
    putInPlace(temporary, file, options.overwrite);
    const bytes = statSync(file).size;
    return { file, bytes, schema, unaudited: await note(server, directory, env, file, bytes) };
  } finally {
    for (const suffix of ['', '-journal', '-wal', '-shm']) rmSync(`${temporary}${suffix}`, { force: true });
  }
}

function targetOf(server: string, { directory }: ServerPaths, { file, now }: BackupOptions): string {
  const name = `${server}-${formatFileTime(now())}.db`;
  if (file === undefined) {
    const folder = join(directory, 'backups');
    makePrivateDirectory(folder);
    return freeName(join(folder, name));
  }
  const path = resolve(file);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return join(path, name);
  makeDirectoryOf(path);
  return path;
}

/** Two backups may be made within a second. */
function freeName(path: string): string {
  for (let n = 1; ; n++) {
    const free = n === 1 ? path : path.replace(/\.db$/, `-${n}.db`);
    if (!existsSync(free)) return free;
  }
}

/** The server's own files are never written over, whatever was asked for. */
function refuseTarget(file: string, paths: ServerPaths, overwrite: boolean): void {
  if (!existsSync(file)) return;
  const real = realpathSync(file);
  const own = [
    paths.database,
    ...['-wal', '-shm'].map((suffix) => `${paths.database}${suffix}`),
    ...[paths.lock, paths.runState, paths.log, join(paths.directory, 'encryption.key')],
  ];
  if (own.some((path) => existsSync(path) && realpathSync(path) === real) || real.endsWith('.key')) {
    throw new MailProxyError('usage', `${file} is a file that the server needs: choose another one.`);
  }
  if (!overwrite) throw alreadyThere(file);
}

const alreadyThere = (file: string): MailProxyError =>
  new MailProxyError('already_exists', `${file} is already there: choose another name, or add --force.`);

/** A link, unlike a rename, never replaces what somebody else put there meanwhile. */
function putInPlace(temporary: string, file: string, overwrite: boolean): void {
  try {
    if (overwrite) renameSync(temporary, file);
    else linkSync(temporary, file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') throw alreadyThere(file);
    // Some file systems have no links.
    if (overwrite || existsSync(file)) throw error;
    renameSync(temporary, file);
  }
  syncDirectoryOf(file);
}

/** Notes it in the trail. A backup of a server in trouble is worth more than its record: that it cannot be noted is told only. */
async function note(
  server: string,
  directory: string,
  env: Environment,
  file: string,
  bytes: number,
): Promise<string | undefined> {
  try {
    const { context, close } = await openServer(server, directory, env);
    try {
      const { store, actor, now } = context;
      const subject = basename(file);
      const detail = { bytes };
      await store.audit.append([{ event: 'backup.created', actor, tenantId: null, subject, detail }], now());
      return undefined;
    } finally {
      await close();
    }
  } catch (error) {
    if (error instanceof MailProxyError) return error.message;
    throw error;
  }
}

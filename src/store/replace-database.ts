import { existsSync, linkSync, renameSync, rmSync } from 'node:fs';
import Database from 'better-sqlite3';
import { MailProxyError } from '../core/errors.js';
import { type Db, isBusy } from './database.js';
import { syncDirectoryOf, syncPath } from './durable-files.js';

const WAIT_MS = 2000;

/**
 * Puts another file in the place of a database, so that at every moment, power cuts included, one of the two is there whole. The
 * old one is kept with all that its write-ahead log held; nothing of it is left beside the new one, which that would destroy.
 * The caller holds the server's lock.
 *
 * @param replacement - In the same directory, without side files.
 * @param kept - What the old one is called from now on.
 * @throws MailProxyError `store_unavailable` while another process has the database open; nothing is changed then.
 */
export function replaceDatabase(database: string, replacement: string, kept: string): void {
  syncPath(replacement);
  const held = existsSync(database) ? standAlone(database) : undefined;
  try {
    keep(database, kept);
    for (const suffix of ['-wal', '-journal']) {
      if (existsSync(`${database}${suffix}`)) renameSync(`${database}${suffix}`, `${kept}${suffix}`);
    }
    rmSync(`${database}-shm`, { force: true });
    syncDirectoryOf(database);
    renameSync(replacement, database);
    syncDirectoryOf(database);
  } finally {
    held?.close();
  }
}

/**
 * Takes the write-ahead log into a database and locks it. Undefined when it is too damaged: it is kept as it is then, with its
 * log.
 */
function standAlone(path: string): Db | undefined {
  let db: Db | undefined;
  try {
    db = new Database(path, { timeout: WAIT_MS });
    // Refused while anybody else has it open.
    db.pragma('journal_mode = DELETE');
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db?.close();
    if (isBusy(error)) {
      throw new MailProxyError(
        'store_unavailable',
        `Another command uses ${path} at the moment: try again when it has ended.`,
        { cause: error },
      );
    }
    if (error instanceof Database.SqliteError) return undefined;
    throw error;
  }
}

/** By a second name, so that the first is never without a file; where there are no links, by a rename. */
function keep(path: string, kept: string): void {
  if (!existsSync(path)) return;
  try {
    linkSync(path, kept);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    renameSync(path, kept);
  }
}

import { closeSync, fchmodSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import Database from 'better-sqlite3';
import { makePrivateDirectory } from '../config/private-directory.js';
import { MailProxyError } from '../core/errors.js';

/** A connection of better-sqlite3. Only modules of this folder hold one. */
export type Db = Database.Database;

const FULL = 2;
const LOG_KEPT_BYTES = 64 * 1024 * 1024;

/** Marks a file as ours ("MPRX"), so that some other program's database is never touched by mistake. */
export const APPLICATION_ID = 0x4d_50_52_58;

/** Creates the directory of a file when it is missing. One that exists is its owner's, who may share it, and stays as it is. */
export function makeDirectoryOf(file: string): void {
  makePrivateDirectory(dirname(file), 'keep');
}

/** Creates an empty file that only its owner may read, whatever the umask; SQLite gives its side files the same mode. */
export function createPrivateFile(path: string): void {
  const fd = openSync(path, 'a', 0o600);
  fchmodSync(fd, 0o600);
  closeSync(fd);
}

function refuseLooseMode(path: string): void {
  const mode = statSync(path).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new MailProxyError(
      'unsafe_permissions',
      `${path} can be read by others (mode ${mode.toString(8)}): run "chmod 600 ${path}".`,
    );
  }
}

/**
 * Opens a database durably: WAL, `synchronous=FULL` (asserted, since WAL alone falls back to NORMAL on reopening)
 * and foreign keys. No statement ever waits for a lock inside SQLite, because that would block the event loop; the
 * writer retries instead.
 *
 * @throws MailProxyError `server_not_found` when it does not exist and `create` is false, `unsafe_permissions` when
 * others can read it, `schema_mismatch` when it is another program's, `store_unavailable` when it is no usable database.
 */
export function openDatabase(path: string, options: { create: boolean }): Db {
  const exists = statSync(path, { throwIfNoEntry: false }) !== undefined;
  if (!exists) {
    if (!options.create) {
      throw new MailProxyError(
        'server_not_found',
        `There is no database at ${path}: run "mail-proxy start" first.`,
      );
    }
    makeDirectoryOf(path);
    createPrivateFile(path);
  }
  refuseLooseMode(path);
  let db: Db | undefined;
  try {
    db = new Database(path, { timeout: exists ? 1000 : 5000 });
    refuseForeign(db, path);
    db.pragma('journal_mode = WAL');
    db.pragma('synchronous = FULL');
    db.pragma('foreign_keys = ON');
    db.pragma('wal_autocheckpoint = 2000');
    // Enough for what is hot of a queue of any length.
    db.pragma('cache_size = -8000');
    // A statement that may have to be undone alone keeps what it needs for that in memory, not in a file of its own.
    db.pragma('temp_store = MEMORY');
    // A long reader makes the log grow; once it is gone the space is given back, down to this.
    db.pragma(`journal_size_limit = ${LOG_KEPT_BYTES}`);
    assertDurable(db, path);
    db.pragma('busy_timeout = 0');
    return db;
  } catch (error) {
    db?.close();
    throw asStoreError(error, path);
  }
}

/** Looked at before anything is changed: a new file has neither mark nor table. */
function refuseForeign(db: Db, path: string): void {
  if (db.pragma('application_id', { simple: true }) === APPLICATION_ID) return;
  const isNew =
    db.pragma('user_version', { simple: true }) === 0 &&
    db.prepare('SELECT 1 FROM sqlite_master LIMIT 1').get() === undefined;
  if (!isNew) {
    throw new MailProxyError(
      'schema_mismatch',
      `${path} is a database of another program: choose another path.`,
    );
  }
}

function assertDurable(db: Db, path: string): void {
  const synchronous = db.pragma('synchronous', { simple: true });
  const journal = db.pragma('journal_mode', { simple: true });
  if (synchronous !== FULL || journal !== 'wal') {
    throw new MailProxyError(
      'store_unavailable',
      `${path} cannot be opened durably (journal ${String(journal)}, synchronous ${String(synchronous)}): it must be on a local disk.`,
    );
  }
}

/** Turns a failure of SQLite into one sentence with a stable code; anything else passes through. */
export function asStoreError(error: unknown, path: string): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const code = error.code;
  const say = (sentence: string): MailProxyError =>
    new MailProxyError('store_unavailable', sentence, { cause: error });
  if (code.startsWith('SQLITE_FULL'))
    return say(`The disk that holds ${path} is full: free some space; nothing was changed.`);
  if (code.startsWith('SQLITE_READONLY'))
    return say(`${path} cannot be written: check its owner, mode and file system.`);
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return say(`${path} is damaged or no database: stop the server and restore a backup.`);
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return say(`${path} is locked by another process: try again in a moment.`);
  }
  if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CANTOPEN')) {
    return say(`${path} cannot be read or written (${code}): check the disk.`);
  }
  return error;
}

/** Whether a failure means that another process holds the lock for now. */
export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

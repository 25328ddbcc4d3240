import { chmodSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { MailProxyError } from '../core/errors.js';
import { asStoreError, createPrivateFile, isBusy, makeDirectoryOf } from './database.js';

/** A held lock. */
export interface ServerLock {
  release(): void;
}

const WAIT_MS = 2000;

/**
 * Takes the lock that makes this process the server's one daemon. The operating system frees it when the process ends,
 * however it ends, so that a stale pid never stands in the way. It waits out the moment in which others look.
 *
 * @throws MailProxyError `daemon_running` when another process holds it.
 */
export function takeServerLock(path: string): ServerLock {
  makeDirectoryOf(path);
  // An existing file is not opened here: closing any descriptor of it would drop this process's POSIX locks on it.
  if (statSync(path, { throwIfNoEntry: false }) === undefined) createPrivateFile(path);
  chmodSync(path, 0o600);
  const db = new Database(path, { timeout: WAIT_MS });
  try {
    db.exec('BEGIN EXCLUSIVE');
  } catch (error) {
    db.close();
    if (!isBusy(error)) throw asStoreError(error, path);
    throw new MailProxyError(
      'daemon_running',
      'A daemon is running for this server already: see "mail-proxy status".',
      {
        cause: error,
      },
    );
  }
  return {
    release() {
      if (db.open) db.close();
    },
  };
}

/**
 * Whether some process holds the lock now.
 *
 * @throws MailProxyError `store_unavailable` when the lock file cannot be read.
 */
export function isServerLocked(path: string): boolean {
  let db: Database.Database | undefined;
  try {
    if (statSync(path, { throwIfNoEntry: false }) === undefined) return false;
    db = new Database(path, { readonly: true, timeout: 0 });
    db.prepare('SELECT 1 FROM sqlite_master').get();
    return false;
  } catch (error) {
    if (isBusy(error)) return true;
    throw isRefusedByTheSystem(error) ? unreadable(path, error) : asStoreError(error, path);
  } finally {
    db?.close();
  }
}

function isRefusedByTheSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function unreadable(path: string, cause: unknown): MailProxyError {
  return new MailProxyError('store_unavailable', `${path} cannot be read: check its owner and mode.`, {
    cause,
  });
}

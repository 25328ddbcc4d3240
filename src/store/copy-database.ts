import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { asStoreError, createPrivateFile, openDatabase } from './database.js';

/** 1 MiB: SQLite's page has 4096 bytes. */
const PAGES_A_STEP = 256;
/** Written out so often that no commit of the daemon ever waits for a mountain of somebody else's pages. */
const STEPS_A_SYNC = 2;

/**
 * Copies a database that may be in use, as it is at one moment, to a file of its own (mode 0600, no write-ahead log). The
 * whole copy is read in one transaction, so that what others commit meanwhile neither gets into it nor makes it begin again.
 *
 * @param onStep - Told the pages done and in all, after each step; what it throws ends the copy.
 * @throws MailProxyError `server_not_found`, `schema_mismatch` for another program's database, `store_unavailable`.
 */
export async function copyDatabase(
  source: string,
  target: string,
  onStep: (done: number, total: number) => void,
): Promise<void> {
  const db = openDatabase(source, { create: false });
  createPrivateFile(target);
  const fd = openSync(target, 'r');
  try {
    db.exec('BEGIN');
    db.prepare('SELECT 1 FROM sqlite_master LIMIT 1').get();
    let steps = 0;
    await db.backup(target, {
      progress: ({ totalPages, remainingPages }) => {
        if (++steps % STEPS_A_SYNC === 0) fdatasyncSync(fd);
        onStep(totalPages - remainingPages, totalPages);
        return PAGES_A_STEP;
      },
    });
  } catch (error) {
    throw asStoreError(error, target);
  } finally {
    closeSync(fd);
    db.close();
  }
}

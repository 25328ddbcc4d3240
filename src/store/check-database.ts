import Database from 'better-sqlite3';
import { MailProxyError } from '../core/errors.js';
import { APPLICATION_ID, asStoreError, type Db } from './database.js';
import { SCHEMA_VERSION, schemaVersion } from './schema-version.js';

/** What a check found of a database that is as it should be. */
export interface CheckedDatabase {
  /** At most the present one. */
  schema: number;
}

/**
 * Checks the file of a database that nobody else uses: that it is one, ours, whole, and not from a newer version. A write-ahead
 * log beside it is taken in, and the file made one that stands alone.
 *
 * @param depth - `quick` leaves out whether indexes agree with their tables, and references.
 * @param name - What to call the file in a refusal.
 * @throws MailProxyError `schema_mismatch` or `store_unavailable`.
 */
export function checkDatabase(path: string, depth: 'quick' | 'full', name = path): CheckedDatabase {
  let db: Db | undefined;
  try {
    db = new Database(path, { timeout: 0 });
    return check(db, depth, name);
  } catch (error) {
    if (error instanceof Database.SqliteError && error.code === 'SQLITE_NOTADB') {
      throw new MailProxyError('schema_mismatch', `${name} is no database: give a file made by "backup".`, {
        cause: error,
      });
    }
    throw asStoreError(error, name);
  } finally {
    db?.close();
  }
}

function check(db: Db, depth: 'quick' | 'full', name: string): CheckedDatabase {
  if (db.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new MailProxyError(
      'schema_mismatch',
      `${name} is no database of mail-proxy: give a file made by "backup".`,
    );
  }
  const schema = schemaVersion(db);
  if (schema > SCHEMA_VERSION) {
    throw new MailProxyError(
      'schema_mismatch',
      `${name} has schema ${schema}, made by a newer mail-proxy than this one (${SCHEMA_VERSION}): use the newer version.`,
    );
  }
  db.pragma('journal_mode = DELETE');
  const [first] = db.pragma(depth === 'quick' ? 'quick_check(1)' : 'integrity_check(1)') as Array<
    Record<string, string>
  >;
  const said = Object.values(first ?? {})[0];
  const orphan = depth === 'full' ? db.prepare('PRAGMA foreign_key_check').get() : undefined;
  if (said !== 'ok' || orphan !== undefined) {
    const what = said === 'ok' ? 'rows refer to others that are missing' : said;
    throw new MailProxyError('store_unavailable', `${name} is damaged (${what}): use another backup.`);
  }
  return { schema };
}

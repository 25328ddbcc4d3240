import { chmodSync } from 'node:fs';
import { APPLICATION_ID, type Db } from './database.js';
import { initial } from './migrations/0001-initial.js';
import { audit } from './migrations/0002-audit.js';
import { engine } from './migrations/0003-engine.js';
import { idempotency } from './migrations/0004-idempotency.js';
import { reports } from './migrations/0005-reports.js';
import { requireCurrentSchema, SCHEMA_VERSION, schemaVersion } from './schema-version.js';

/** Append-only: the schema version of a database is how many of these it has been through. */
export const MIGRATIONS: readonly string[] = [initial, audit, engine, idempotency, reports];

/**
 * Brings a database to the present schema, each step in a transaction of its own. An existing database is copied
 * first, to `<database>.before-<version>`.
 *
 * @returns The path of the copy, or undefined when nothing had to be migrated.
 * @throws MailProxyError `schema_mismatch` for a newer database.
 */
export async function migrate(db: Db): Promise<string | undefined> {
  const from = schemaVersion(db);
  if (from === SCHEMA_VERSION) return undefined;
  if (from > SCHEMA_VERSION) requireCurrentSchema(db);
  let copy: string | undefined;
  if (from > 0) {
    copy = `${db.name}.before-${SCHEMA_VERSION}`;
    await db.backup(copy);
    chmodSync(copy, 0o600);
  }
  for (let version = from; version < SCHEMA_VERSION; version++) {
    db.exec('BEGIN IMMEDIATE');
    try {
      db.exec(MIGRATIONS[version] ?? '');
      db.pragma(`application_id = ${APPLICATION_ID}`);
      db.pragma(`user_version = ${version + 1}`);
      db.exec('COMMIT');
    } catch (error) {
      if (db.inTransaction) db.exec('ROLLBACK');
      throw error;
    }
  }
  return copy;
}

import { MailProxyError } from '../core/errors.js';
import type { Db } from './database.js';

/** The schema that this version of the program reads and writes: how many migrations there are. */
export const SCHEMA_VERSION = 5;

/** The schema version of an open database; 0 is a new one. */
export function schemaVersion(db: Db): number {
  return db.pragma('user_version', { simple: true }) as number;
}

/**
 * Refuses a database of another schema. Only `start` and `serve` migrate.
 *
 * @throws MailProxyError `schema_mismatch`.
 */
export function requireCurrentSchema(db: Db): void {
  const version = schemaVersion(db);
  if (version === SCHEMA_VERSION) return;
  throw new MailProxyError(
    'schema_mismatch',
    version < SCHEMA_VERSION
      ? `The database has schema ${version} and this version of mail-proxy needs ${SCHEMA_VERSION}: run "mail-proxy restart" to migrate it.`
      : `The database has schema ${version}, made by a newer mail-proxy than this one (${SCHEMA_VERSION}): use the newer version.`,
  );
}

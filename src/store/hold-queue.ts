import type { Millis } from '../core/types.js';
import { openDatabase } from './database.js';

/**
 * Suspends every tenant that has unsent messages, in a database that nobody else uses.
 *
 * @returns The tenants' ids.
 */
export function holdQueue(path: string, now: Millis): string[] {
  const db = openDatabase(path, { create: false });
  try {
    const tenants = db
      .prepare<[], { id: string }>(
        `SELECT DISTINCT tenant_id AS id FROM message_counts
           WHERE state IN ('ready', 'waiting', 'suspended', 'sending') AND n > 0 ORDER BY tenant_id`,
      )
      .all()
      .map(({ id }) => id);
    // An empty code is all of a tenant.
    const suspend = db.prepare(
      `INSERT INTO suspensions (tenant_id, batch_code, suspended_at) VALUES (?, '', ?)
         ON CONFLICT DO UPDATE SET suspended_at = excluded.suspended_at, released_at = NULL`,
    );
    db.transaction(() => {
      for (const id of tenants) suspend.run(id, now);
    }).immediate();
    return tenants;
  } finally {
    db.close();
  }
}

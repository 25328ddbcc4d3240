import type { Sql } from './statements.js';

/**
 * Frees parked messages of batches that were activated, inside the caller's transaction: at most `limit` rows a call. A
 * suspension is forgotten with its last parked message.
 *
 * @returns How many rows were changed; 0 once there is nothing to free.
 */
export type ReleaseSuspended = (now: number, limit: number) => number;

/** Freeing over one connection. */
export function createReleaseSuspended(sql: Sql): ReleaseSuspended {
  return (now, limit) => {
    let left = limit;
    const released = sql(
      'SELECT tenant_id, batch_code FROM suspensions WHERE released_at IS NOT NULL ORDER BY released_at LIMIT ?',
    ).all(limit);
    for (const { tenant_id, batch_code } of released) {
      const { changes } = sql(
        `UPDATE messages SET state = CASE WHEN due_at > @now THEN 'waiting' ELSE 'ready' END WHERE pk IN
           (SELECT pk FROM messages WHERE tenant_id = @tenant_id AND batch_code = @batch_code AND state = 'suspended'
              ORDER BY pk LIMIT @left)`,
      ).run({ now, tenant_id, batch_code, left });
      left -= changes;
      if (left <= 0) break;
      sql('DELETE FROM suspensions WHERE tenant_id = ? AND batch_code = ?').run(tenant_id, batch_code);
      left--;
      if (left <= 0) break;
    }
    return limit - left;
  };
}

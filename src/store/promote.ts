import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Makes due messages ready and ends expired ones, inside the caller's transaction. */
export type Promote = (now: number, limit: number) => { promoted: number; expired: number };

/** Promotion over one connection. */
export function createPromote(sql: Sql, { finish }: MessageTransitions): Promote {
  return (now: number, limit: number): { promoted: number; expired: number } => {
    const expired = sql(
      "SELECT pk, error FROM messages WHERE state IN ('ready', 'waiting') AND expires_at <= ? LIMIT ?",
    ).all(now, limit);
    for (const row of expired) {
      const last = row.error as string | null;
      finish(
        row.pk as number,
        now,
        `The message expired before it could be sent.${last === null ? '' : ` Last: ${last}`}`,
      );
    }
    const { changes } = sql(
      `UPDATE messages SET state = 'ready' WHERE pk IN
         (SELECT pk FROM messages WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?)`,
    ).run(now, limit);
    return { promoted: changes, expired: expired.length };
  };
}

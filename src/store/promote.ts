import { LATE_AFTER_MS } from '../core/late.js';
import { formatTs } from '../core/time.js';
import { createNoteEvent } from './message-events.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Makes due messages ready, tells of late ones and ends expired ones, inside the caller's transaction. */
export type Promote = (now: number, limit: number) => { promoted: number; expired: number };

/** Promotion over one connection. */
export function createPromote(sql: Sql, { finish }: MessageTransitions): Promote {
  const noteEvent = createNoteEvent(sql);
  const expire = (row: Record<string, unknown>, now: number): void => {
    const last = row.error as string | null;
    finish(
      row.pk as number,
      now,
      `The message expired before it could be sent.${last === null ? '' : ` Last: ${last}`}`,
    );
  };

  /** Told once: from now on it is looked at only when it expires. */
  const tellLate = (row: Record<string, unknown>, now: number): void => {
    // Counted from when it was first due, whatever has put it off since.
    const since = (row.attention_at as number) - LATE_AFTER_MS;
    noteEvent(row.pk as number, 'late', now, { since_ts: formatTs(since), error: row.error });
    sql('UPDATE messages SET attention_at = expires_at WHERE pk = ?').run(row.pk);
  };

  return (now: number, limit: number): { promoted: number; expired: number } => {
    const seen = sql(
      `SELECT pk, error, attention_at, expires_at FROM messages
         WHERE state IN ('ready', 'waiting', 'suspended') AND attention_at <= ? ORDER BY attention_at LIMIT ?`,
    ).all(now, limit);
    for (const row of seen) {
      if ((row.expires_at as number) <= now) expire(row, now);
      else tellLate(row, now);
    }
    const { changes } = sql(
      `UPDATE messages SET state = 'ready' WHERE pk IN
         (SELECT pk FROM messages WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?)`,
    ).run(now, limit);
    return { promoted: changes, expired: seen.length };
  };
}

import { LATE_AFTER_MS } from '../core/late.js';
import { formatTs } from '../core/time.js';
import type { NoteEvent } from './message-events.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** What promotion changed: messages made ready, how many were looked at, and of those whose time was over the accounts. */
export interface Promoted {
  promoted: number;
  expired: number;
  /** One for each message that ended. */
  endedOf: number[];
}

/** Makes due messages ready, says once of late ones that they are, and ends expired ones, inside the caller's transaction. */
export type Promote = (now: number, limit: number) => Promoted;

/** Promotion over one connection. */
export function createPromote(sql: Sql, noteEvent: NoteEvent, { finish }: MessageTransitions): Promote {
  return (now, limit) => {
    const seen = sql(
      `SELECT pk, account_pk, error, expires_at, attention_at FROM messages WHERE state IN ('ready', 'waiting', 'suspended') AND attention_at <= ?
         ORDER BY attention_at LIMIT ?`,
    ).all(now, limit);
    const expired = seen.filter(({ expires_at }) => (expires_at as number) <= now);
    for (const row of seen) {
      if (expired.includes(row)) continue;
      sql('UPDATE messages SET attention_at = expires_at WHERE pk = ?').run(row.pk);
      noteEvent(row.pk as number, 'late', now, {
        // Counted from when it was first due, or due anew after a person had it tried again.
        since_ts: formatTs((row.attention_at as number) - LATE_AFTER_MS),
        ...(row.error === null ? {} : { error: row.error }),
      });
    }
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
    return {
      promoted: changes,
      expired: seen.length,
      endedOf: expired.map(({ account_pk }) => account_pk as number),
    };
  };
}

import type { Millis } from './types.js';

/** So long the row of a final message is kept when nothing else is said: 7 days. */
export const DEFAULT_RETENTION_MS: Millis = 7 * 86_400_000;

/** How a message ended. */
export type FinalState = 'sent' | 'error';

/** What is known of a final message when its retention is decided. */
export interface FinalMessage {
  state: FinalState;
  /** When it became final. */
  finalAt: Millis;
  /** Whether its content is still stored. */
  hasContent: boolean;
  /** When its last report was acknowledged; undefined when it never had one, or none was yet. */
  reportedAt: Millis | undefined;
  /** Whether its tenant is still to be told something of it. */
  hasReports: boolean;
}

/** What the clean-up does with a final message, and when it looks at it again unless the row goes: null is when it is told to. */
export type CleanupStep =
  | { what: 'remove' }
  | { what: 'drop-content'; nextAt: Millis | null }
  | { what: 'keep'; nextAt: Millis | null };

/**
 * When the clean-up first looks at a message that has just become final: at once. The content of a sent message is dropped
 * then; for one that ended in error only the time of its removal is settled.
 */
export function firstCleanupAt(_state: FinalState, finalAt: Millis): Millis {
  return finalAt;
}

/**
 * The moment from which the row of a final message is kept for the retention time: when it became final, or later, when its
 * tenant acknowledged the last report of it. Undefined while a report waits.
 */
export function retentionStartsAt({
  finalAt,
  reportedAt,
  hasReports,
}: Pick<FinalMessage, 'finalAt' | 'reportedAt' | 'hasReports'>): Millis | undefined {
  return hasReports ? undefined : Math.max(finalAt, reportedAt ?? finalAt);
}

/**
 * Decides what happens to a final message now. The content of one that was sent is of no more use; that of one that ended in
 * error stays as long as its row, so that it can be tried again.
 */
export function cleanupStep(message: FinalMessage, retention: Millis, now: Millis): CleanupStep {
  const startsAt = retentionStartsAt(message);
  // While a report waits there is no time to name: the clean-up is told when the last one is acknowledged.
  const nextAt = startsAt === undefined ? null : startsAt + retention;
  if (nextAt !== null && nextAt <= now) return { what: 'remove' };
  return message.state === 'sent' && message.hasContent
    ? { what: 'drop-content', nextAt }
    : { what: 'keep', nextAt };
}

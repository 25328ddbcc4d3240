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
}

/** What the clean-up does with a final message, and when it looks at it again unless the row goes. */
export type CleanupStep =
  | { what: 'remove' }
  | { what: 'drop-content'; nextAt: Millis }
  | { what: 'keep'; nextAt: Millis };

/**
 * When the clean-up first looks at a message that has just become final: at once. The content of a sent message is dropped
 * then; for one that ended in error only the time of its removal is settled.
 */
export function firstCleanupAt(_state: FinalState, finalAt: Millis): Millis {
  return finalAt;
}

/** The moment from which the row of a final message is kept for the retention time. */
export function retentionStartsAt({ finalAt }: Pick<FinalMessage, 'finalAt'>): Millis {
  return finalAt;
}

/**
 * Decides what happens to a final message now. The content of one that was sent is of no more use; that of one that ended in
 * error stays as long as its row, so that it can be tried again.
 */
export function cleanupStep(message: FinalMessage, retention: Millis, now: Millis): CleanupStep {
  const nextAt = retentionStartsAt(message) + retention;
  if (nextAt <= now) return { what: 'remove' };
  return message.state === 'sent' && message.hasContent
    ? { what: 'drop-content', nextAt }
    : { what: 'keep', nextAt };
}

import { LATE_AFTER_MS } from './late.js';
import { DEFAULT_LIFETIME } from './message-parts.js';
import type { MessageState, Millis } from './types.js';

/** Why a message is not tried again: part of the contract, never renamed. */
export const RETRY_SKIPS = {
  pending: 'It is due already.',
  scheduled: 'It waits for the time that it was given: name it by its id to send it now.',
  suspended: 'Its tenant or batch is suspended: activate that first.',
  in_progress: 'It is being sent.',
  uncertain: 'The server may have it already: say what became of it with "messages resolve".',
  already_sent: 'Every recipient has it already.',
  content_gone: 'Its content was removed after it was final: queue it anew.',
  account_not_found: 'Its account was deleted: add an account with that id, or queue the message anew.',
} as const;

/** A stable reason why a message is not tried again. */
export type RetrySkip = keyof typeof RETRY_SKIPS;

/** What the decision is made from. */
export interface RetryCandidate {
  state: MessageState;
  isStopped: boolean;
  hasContent: boolean;
  hasAccount: boolean;
  retryCount: number;
  /** The time that it was given, before which it is not sent. */
  deferredAt: Millis | null;
}

/**
 * Decides whether a person may have a message tried again: one that waits is then due now, one that ended in error is
 * tried again for the recipients that failed.
 *
 * @param isNamed - Whether it was asked for by its id, not as one of many.
 */
export function retryDecision(
  it: RetryCandidate,
  now: Millis,
  isNamed: boolean,
): 'due-now' | 'again' | { skip: RetrySkip } {
  switch (it.state) {
    case 'sent':
      return { skip: 'already_sent' };
    case 'sending':
      return { skip: 'in_progress' };
    case 'uncertain':
      return { skip: 'uncertain' };
    case 'error':
      if (!it.hasContent) return { skip: 'content_gone' };
      return it.hasAccount ? 'again' : { skip: 'account_not_found' };
    case 'ready':
    case 'suspended':
      return { skip: it.isStopped ? 'suspended' : 'pending' };
    case 'waiting': {
      if (it.isStopped) return { skip: 'suspended' };
      const isScheduled = it.retryCount === 0 && it.deferredAt !== null && it.deferredAt > now;
      return isScheduled && !isNamed ? { skip: 'scheduled' } : 'due-now';
    }
  }
}

/** How long a message may still take that is tried again at `now`: its own time, or two days when that is over. */
export function retriedLifetime(expiresAt: Millis, now: Millis): { expiresAt: Millis; attentionAt: Millis } {
  const until = expiresAt > now ? expiresAt : now + DEFAULT_LIFETIME;
  return { expiresAt: until, attentionAt: Math.min(now + LATE_AFTER_MS, until) };
}

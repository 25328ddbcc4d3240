import type { Millis } from './types.js';

/** When a message that just became final is first looked at by the clean-up, in Unix milliseconds. */
export function firstCleanupAt(_state: 'sent' | 'error', finalAt: Millis): Millis {
  return finalAt;
}

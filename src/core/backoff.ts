import type { Millis, RandomSource } from './types.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Waits before the first, second, … retry; the last one repeats until the message expires. */
const RETRY_DELAYS: readonly Millis[] = [
  MINUTE,
  5 * MINUTE,
  15 * MINUTE,
  HOUR,
  2 * HOUR,
  4 * HOUR,
  8 * HOUR,
  16 * HOUR,
];
const LONGEST_RETRY_DELAY = 16 * HOUR;
/** A last attempt is made this long before a message expires. */
const LAST_CALL = MINUTE;
/** With less time left than this another attempt is not worth making. */
const TOO_LATE = 30_000;
const FIRST_BREAKER_DELAY = 5_000;
const LONGEST_BREAKER_DELAY = 5 * MINUTE;
const FIRST_CALL_DELAY = 5_000;
const LONGEST_CALL_DELAY = 15 * MINUTE;

/** What the time of the next attempt depends on. */
export interface NextAttemptInput {
  /** Retries already made: 0 after the first attempt failed. */
  retryCount: number;
  now: Millis;
  /** The message is given up at this moment. */
  expiresAt: Millis;
  random: RandomSource;
  /** How long the server asked to be left alone, in milliseconds, when it said so. */
  hint?: Millis | undefined;
}

/**
 * Says when a message that was put off is tried again: after 1, 5, 15 minutes, 1, 2, 4, 8, 16 hours and then every 16
 * hours, each ±20 % so that messages put off together do not come back together, but never before the time that the server named. A wait that would outlast the message
 * is cut short, so that the last attempt comes about a minute before it expires; `expired` with less than 30 seconds left.
 */
export function nextAttempt(input: NextAttemptInput): Millis | 'expired' {
  const scheduled = spread(RETRY_DELAYS[Math.max(0, input.retryCount)] ?? LONGEST_RETRY_DELAY, input.random);
  // Never before the server said, and a little later, so that messages put off together do not come back together.
  const asked = input.hint === undefined ? 0 : Math.ceil(input.hint * (1 + 0.1 * input.random()));
  const left = input.expiresAt - input.now;
  if (left < TOO_LATE) return 'expired';
  // Half of what is left at least: the very last minute is no time to try every second.
  const latest = Math.max(input.expiresAt - LAST_CALL, input.now + Math.ceil(left / 2));
  return Math.min(input.now + Math.max(scheduled, asked), latest);
}

/**
 * Says how long, in milliseconds, a lane leaves its server alone after `failures` failed connections in a row (1 or
 * more): 5 seconds, doubling up to 5 minutes, each ±20 %.
 */
export function breakerDelay(failures: number, random: RandomSource): Millis {
  const doublings = Math.min(Math.max(failures, 1) - 1, 10);
  return spread(Math.min(FIRST_BREAKER_DELAY * 2 ** doublings, LONGEST_BREAKER_DELAY), random);
}

/**
 * Says how long, in milliseconds, a tenant's endpoint is left alone after `failures` failed calls in a row (1 or more): 5 seconds,
 * doubling, ±20 %, never more than 15 minutes.
 */
export function callDelay(failures: number, random: RandomSource): Millis {
  const doublings = Math.min(Math.max(failures, 1) - 1, 10);
  return Math.min(spread(FIRST_CALL_DELAY * 2 ** doublings, random), LONGEST_CALL_DELAY);
}

function spread(delay: Millis, random: RandomSource): Millis {
  return Math.round(delay * (0.8 + 0.4 * random()));
}

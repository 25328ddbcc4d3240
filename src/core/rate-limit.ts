import type { Millis } from './types.js';

/** At most `limit` messages in any `windowMs` milliseconds. */
export interface RateWindow {
  limit: number;
  windowMs: number;
}

const MINUTE = 60_000;
const HOUR = 3_600_000;

/** Longest window in use: older charges can be forgotten. */
export const LONGEST_WINDOW_MS = 24 * HOUR;

/** The windows of an account or tenant; 0 and null are no limit. */
export function rateWindows(limits: {
  minute?: number | null;
  hour?: number | null;
  day?: number | null;
}): RateWindow[] {
  return [
    { limit: limits.minute ?? 0, windowMs: MINUTE },
    { limit: limits.hour ?? 0, windowMs: HOUR },
    { limit: limits.day ?? 0, windowMs: LONGEST_WINDOW_MS },
  ].filter((window) => window.limit > 0);
}

/** What the limits allow now. */
export interface Allowance {
  /** How many messages may be charged at once. */
  allowed: number;
  /** When at least one more may be, if `allowed` is 0. */
  nextAt: Millis | undefined;
}

/**
 * Decides how many messages exact sliding windows allow.
 *
 * @param windows - All of them must hold.
 * @param nthNewestCharge - When the n-th newest charge was made (1 is the newest), or undefined if there are fewer.
 * @param countSince - How many charges were made after a moment.
 */
export function allowance(
  windows: readonly RateWindow[],
  now: Millis,
  nthNewestCharge: (n: number) => Millis | undefined,
  countSince: (after: Millis) => number,
): Allowance {
  let allowed = Number.POSITIVE_INFINITY;
  let nextAt: Millis | undefined;
  for (const { limit, windowMs } of windows) {
    const room = Math.max(0, limit - countSince(now - windowMs));
    allowed = Math.min(allowed, room);
    if (room > 0) continue;
    const oldestThatCounts = nthNewestCharge(limit);
    const free = (oldestThatCounts ?? now) + windowMs;
    nextAt = Math.max(nextAt ?? 0, free);
  }
  return { allowed, nextAt };
}

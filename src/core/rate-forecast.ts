import type { RateWindow } from './rate-limit.js';
import type { Millis } from './types.js';

/** Whose limit a window is. */
export type LimitOwner = 'account' | 'tenant';

/** A sliding window and what was charged in it. */
export interface ChargedWindow extends RateWindow {
  of: LimitOwner;
  /** When the n-th newest charge was made (1 is the newest); undefined if there are fewer. */
  nthNewestCharge(n: number): Millis | undefined;
}

/** Where a message stands in its lane. */
export interface Place {
  /** Nothing is charged before this moment. */
  from: Millis;
  /** How many go before it whenever both could go. */
  ahead: number;
  /** How many may go while it is not due yet, those of `ahead` included. */
  inLine: number;
  /** Not before this moment. */
  dueAt: Millis;
}

/** What the limits have to say of one message, when nothing comes in between. */
export interface RateForecast {
  /** When it may be charged; null when that is after more charges than are looked at. */
  at: Millis | null;
  /** `at`, or what it is later than. */
  notBefore: Millis;
  /** The window that makes it wait; null when none does. */
  limitedBy: ChargedWindow | null;
}

/** So many charges are looked ahead at most. */
export const FORECAST_LIMIT = 1000;

/**
 * Says exactly when a message may be charged, if those in line with it are charged as early as the windows allow and nobody
 * else is. The k-th charge is possible as soon as in each window the `limit`-th newest charge before it has left.
 */
export function forecastCharge(windows: readonly ChargedWindow[], place: Place): RateForecast {
  const { from, ahead, inLine, dueAt } = place;
  const soonest = Math.max(from, dueAt);
  if (windows.length === 0) return { at: soonest, notBefore: soonest, limitedBy: null };
  const made: Millis[] = [];
  let slot = from;
  let limitedBy: ChargedWindow | null = null;
  for (let k = 0; ; k++) {
    for (const window of windows) {
      const back = window.limit - k;
      const leaving = back > 0 ? window.nthNewestCharge(back) : made[-back];
      const free = leaving === undefined ? slot : leaving + window.windowMs;
      if (free <= slot) continue;
      slot = free;
      limitedBy = window;
    }
    const isItsTurn = k >= ahead && slot >= dueAt;
    if (isItsTurn || k >= inLine) {
      const at = Math.max(slot, soonest);
      return { at, notBefore: at, limitedBy: slot > soonest ? limitedBy : null };
    }
    if (k === FORECAST_LIMIT) return { at: null, notBefore: Math.max(slot, soonest), limitedBy };
    made.push(slot);
  }
}

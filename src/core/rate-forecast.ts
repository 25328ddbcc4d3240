import type { RateWindow } from './rate-limit.js';
import type { Millis } from './types.js';

/** Further ahead than this nobody is told a time. */
const MOST_FORECAST = 1000;

/** Limits that count together, and what they have counted. */
export interface ChargedLimits {
  windows: readonly RateWindow[];
  /** Charges so far, oldest first, as many at least as the largest limit. */
  charges: readonly Millis[];
}

/**
 * Says when the message with so many others in front of it may be charged, if each is charged as soon as it may and nothing
 * else is: exact sliding windows, all of which must hold.
 *
 * @param ahead - Messages that are charged before it.
 * @returns Undefined when more than 1,000 are ahead.
 */
export function forecastCharge(
  limits: readonly ChargedLimits[],
  ahead: number,
  now: Millis,
): Millis | undefined {
  if (ahead > MOST_FORECAST) return undefined;
  const ledgers = limits.map(({ windows, charges }) => ({ windows, made: [...charges] }));
  let at = now;
  for (let n = 0; n <= ahead; n++) {
    for (const { windows, made } of ledgers) {
      for (const { limit, windowMs } of windows) {
        // The charge that must have left the window before there is room for one more.
        const oldest = made[made.length - limit];
        if (oldest !== undefined) at = Math.max(at, oldest + windowMs);
      }
    }
    for (const { made } of ledgers) made.push(at);
  }
  return at;
}

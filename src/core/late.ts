import type { Millis } from './types.js';

/** A message that is still unsent so long after it was due is said to be late, once. */
export const LATE_AFTER_MS: Millis = 3 * 3_600_000;

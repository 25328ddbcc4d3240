import type { Rejection } from './message.js';
import type { Millis } from './types.js';

/** How long an idempotency key is remembered. */
export const KEPT_MS: Millis = 24 * 3_600_000;

/** Longest idempotency key in characters. */
export const MAX_KEY_LENGTH = 255;

/** What became of one message of a request; `at` is its place in the request, from 0. */
export interface MessageOutcome {
  at: number;
  /** Absent when it was queued. */
  rejection?: Rejection;
}

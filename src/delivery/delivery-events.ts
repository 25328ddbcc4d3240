import type { ReplyClass } from '../core/reply-class.js';
import type { Millis } from '../core/types.js';
import type { Settled } from '../store/claim-types.js';

/** How one claim ended, once that is on disk. */
export interface SettledClaim {
  as: Settled;
  /** What the server answered; undefined when it was not asked. */
  replyClass: ReplyClass | undefined;
  /** How long after it was first due, every wait included. */
  sinceDue: Millis;
}

/** Told what became of messages, always after the commit; on the way of every message, so that it must be quick. */
export interface DeliveryEvents {
  settled(accountPk: number, claim: SettledClaim): void;
  /** A message ended in error without an attempt: its time was over. */
  expired(accountPk: number): void;
  /** A rate limit, the account's or its tenant's, kept messages back; it ended so many of them in error. */
  limited(accountPk: number, rejected: number): void;
}

/** For whoever counts nothing. */
export const NO_EVENTS: DeliveryEvents = {
  settled: () => undefined,
  expired: () => undefined,
  limited: () => undefined,
};

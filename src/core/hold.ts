import type { Millis } from './types.js';

/** What can hold a message; names are part of the contract, never renamed. */
export const HOLD_GATES = {
  none: 'Nothing holds it: it goes now.',
  deferred_time: 'It waits for the time that its sender gave it.',
  retry: 'It waits for its next attempt.',
  tenant_suspended: 'Sending is suspended for its tenant.',
  tenant_inactive: 'Its tenant is not active.',
  batch_suspended: 'Its batch is suspended.',
  rate_limit: 'A limit of its account or its tenant is used up.',
  breaker: 'Its account could not be used, and is left alone for a while.',
  account_held: 'The password of its account does not open.',
  account_missing: 'Its account does not exist any more.',
  queue: 'Others of its account go before it.',
  connections: 'All connections of its account are in use.',
  sending: 'It is being sent.',
  uncertain: 'A person has to say what became of it.',
  final: 'It was sent, or ended in error.',
  daemon_stopped: 'The daemon does not run.',
  scheduler_inactive: 'The daemon runs, but does not send.',
} as const;

/** One of {@link HOLD_GATES}. */
export type HoldGate = keyof typeof HOLD_GATES;

/** One thing that holds a message. */
export interface Hold {
  gate: HoldGate;
  /** When this lets it go; null when nobody can say, because it needs a person or the outcome of others. */
  until: Millis | null;
  /** One sentence for a person. */
  reason: string;
}

/** Why a message is where it is: the hold that lasts longest, and all of them, that one first. */
export interface Explanation extends Hold {
  /** How many go before it, exact up to 10,000; 10,001 is more than that. 0 when it is not in line. */
  behind: number;
  /** All that holds it; empty when nothing does. */
  gates: Hold[];
}

/** Whether anything is sent at all. */
export type SendingState = 'active' | 'inactive' | 'stopped';

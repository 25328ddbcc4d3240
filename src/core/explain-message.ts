import { type ChargedLimits, forecastCharge } from './rate-forecast.js';
import type { MessageState, Millis } from './types.js';

/** What can hold a message, or that nothing does. */
export const GATES = [
  'none',
  'deferred_time',
  'retry',
  'tenant_inactive',
  'tenant_suspended',
  'batch_suspended',
  'account_missing',
  'account_held',
  'breaker',
  'rate_limit',
  'queue',
  'scheduler_inactive',
  'sending',
  'uncertain',
  'final',
] as const;

/** What holds a message. */
export type Gate = (typeof GATES)[number];

/** One thing that holds a message. */
export interface Hold {
  gate: Gate;
  /** When it ends by itself, Unix milliseconds; null when that is not known, or somebody has to do something. */
  until: Millis | null;
  /** One sentence. */
  reason: string;
}

/** What holds a message most: the thing that ends last, or that needs somebody; and all that holds it. */
export interface Explanation extends Hold {
  /** Messages of its account that go before it; {@link MOST_COUNTED} stands for as many or more. */
  behind: number;
  gates: Hold[];
}

/** Messages in front are counted up to here. */
export const MOST_COUNTED = 10_001;

/** What a decision about one message is made from. */
export interface HoldFacts {
  state: MessageState;
  dueAt: Millis;
  retryCount: number;
  error: string | null;
  accountId: string;
  hasAccount: boolean;
  batchCode: string | null;
  tenantActive: boolean;
  tenantSuspended: boolean;
  batchSuspended: boolean;
  /** As the daemon published it; undefined while the lane works. */
  lane: { openUntil: Millis; reason: string | null; held: string | null } | undefined;
  limits: readonly ChargedLimits[];
  rejectsOverLimit: boolean;
  /** Ready messages of its account that go before it. */
  ahead: number;
}

/** Explains what holds a message, and until when. `isSending` is whether a daemon drains the queue at all. */
export function explainMessage(facts: HoldFacts, now: Millis, isSending: boolean): Explanation {
  const settled = settledHold(facts);
  if (settled !== undefined) return { ...settled, behind: 0, gates: [settled] };
  const gates = [...neededHolds(facts, isSending), ...timedHolds(facts, now)];
  if (facts.ahead > 0 && facts.state === 'ready') gates.push(queueHold(facts.ahead));
  const first = strongest(gates) ?? { gate: 'none', until: null, reason: 'Nothing holds it: it goes now.' };
  return { ...first, behind: facts.ahead, gates };
}

/** Somebody has to do something first, then what ends last, then the line. */
function strongest(gates: readonly Hold[]): Hold | undefined {
  const rank = ({ gate, until }: Hold): number =>
    gate === 'queue' ? -1 : (until ?? Number.POSITIVE_INFINITY);
  return gates.reduce<Hold | undefined>(
    (most, hold) => (most === undefined || rank(hold) > rank(most) ? hold : most),
    undefined,
  );
}

function settledHold({ state, error }: HoldFacts): Hold | undefined {
  const hold = (gate: Gate, reason: string): Hold => ({ gate, until: null, reason });
  switch (state) {
    case 'sent':
      return hold('final', 'It was sent.');
    case 'error':
      return hold('final', `It ended in error: ${error ?? 'no reason is known.'}`);
    case 'sending':
      return hold('sending', 'It is being sent.');
    case 'uncertain':
      return hold(
        'uncertain',
        'Nobody knows whether the server has it: find out, then say so with "messages resolve".',
      );
    default:
      return undefined;
  }
}

/** What ends only when somebody does something. */
function neededHolds(facts: HoldFacts, isSending: boolean): Hold[] {
  const holds: Hold[] = [];
  const add = (gate: Gate, reason: string): void => void holds.push({ gate, until: null, reason });
  if (!facts.tenantActive)
    add('tenant_inactive', 'Its tenant is not active: activate it with "tenants activate".');
  if (facts.tenantSuspended)
    add('tenant_suspended', 'All sending of its tenant is suspended: go on with "activate".');
  if (facts.batchSuspended)
    add('batch_suspended', `Its batch "${facts.batchCode}" is suspended: go on with "activate --batch".`);
  if (!facts.hasAccount) add('account_missing', `Its account "${facts.accountId}" does not exist any more.`);
  if (facts.lane?.held != null)
    add('account_held', `Its account "${facts.accountId}" is held: ${facts.lane.held}`);
  if (!isSending) add('scheduler_inactive', 'No daemon is sending: start the server.');
  return holds;
}

/** What ends by itself. */
function timedHolds(facts: HoldFacts, now: Millis): Hold[] {
  const holds: Hold[] = [];
  const { state, dueAt, retryCount, error, lane } = facts;
  if (state !== 'ready' && dueAt > now) {
    holds.push(
      retryCount > 0
        ? { gate: 'retry', until: dueAt, reason: `It is tried again. The last answer: ${error ?? 'none.'}` }
        : { gate: 'deferred_time', until: dueAt, reason: 'It was queued for a later time.' },
    );
  }
  if (lane !== undefined && lane.openUntil > now) {
    const why = lane.reason ?? 'its server could not be used.';
    holds.push({ gate: 'breaker', until: lane.openUntil, reason: `Its account waits: ${why}` });
  }
  const limit = limitHold(facts, Math.max(now, state === 'ready' ? now : dueAt));
  if (limit !== undefined) holds.push(limit);
  return holds;
}

function limitHold({ limits, ahead, state, rejectsOverLimit }: HoldFacts, from: Millis): Hold | undefined {
  if (limits.length === 0) return undefined;
  const inFront = state === 'ready' ? ahead : 0;
  const at = forecastCharge(limits, inFront, from);
  if (at !== undefined && at <= from) return undefined;
  const reason = rejectsOverLimit
    ? 'A rate limit is reached, and its account rejects what is over it.'
    : 'A rate limit of its account or tenant lets it go then.';
  return { gate: 'rate_limit', until: at ?? null, reason };
}

function queueHold(ahead: number): Hold {
  const many =
    ahead >= MOST_COUNTED ? 'more than 10,000 others' : ahead === 1 ? '1 other' : `${ahead} others`;
  return { gate: 'queue', until: null, reason: `It is behind ${many} of its account.` };
}

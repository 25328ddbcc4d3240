import { type Explanation, HOLD_GATES, type Hold, type HoldGate, type SendingState } from './hold.js';
import { type ChargedWindow, forecastCharge, type RateForecast } from './rate-forecast.js';
import { formatIso } from './time.js';
import type { LimitBehavior, MessageState, Millis } from './types.js';

/** Those ahead are counted exactly up to here. */
export const MOST_COUNTED = 10_000;

/** Everything that what holds a message is decided from, as it is at one moment. */
export interface HoldFacts {
  state: MessageState;
  accountId: string;
  batchCode: string | null;
  deferredAt: Millis | null;
  dueAt: Millis;
  expiresAt: Millis;
  sentAt: Millis | null;
  retryCount: number;
  /** What was said of it last. */
  error: string | null;
  tenantActive: boolean;
  /** Null when it is not suspended; so too for its batch. */
  tenantSuspendedAt: Millis | null;
  batchSuspendedAt: Millis | null;
  /** Null when the account is gone. */
  account: { limitBehavior: LimitBehavior; maxConnections: number } | null;
  /** Messages of its lane that are being sent. */
  sending: number;
  /** As the daemon published it; null when there is nothing to say. */
  lane: { failures: number; openUntil: Millis; reason: string | null; held: string | null } | null;
  windows: readonly ChargedWindow[];
  /** Messages of its lane that are ready and rank before it, counted to one more than {@link MOST_COUNTED}. */
  ahead: number;
  /** All that are ready in its lane, itself left out, counted as far as a forecast looks. */
  inLine: number;
}

/** How a hold ranks: those that need a person last longest, then those that end latest. */
type RankedHold = Hold & { needsPerson?: true; notBefore: Millis };

/**
 * Decides what holds a message and until when. Several things may: the answer is the one that lasts longest, or the first that
 * needs a person.
 */
export function explainMessage(facts: HoldFacts, sending: SendingState, now: Millis): Explanation {
  const settled = settledHold(facts);
  if (settled !== null) return { ...settled, behind: 0, gates: [settled] };
  const behind = facts.state === 'ready' ? facts.ahead : 0;
  const holds = [...personHolds(facts, sending), ...timedHolds(facts, sending, now)];
  holds.sort(
    (a, b) => Number(b.needsPerson ?? false) - Number(a.needsPerson ?? false) || b.notBefore - a.notBefore,
  );
  const gates = holds.map(({ gate, until, reason, notBefore }): Hold => {
    const isTooLate = notBefore >= facts.expiresAt;
    return { gate, until, reason: isTooLate ? `${reason} Its time ends before that.` : reason };
  });
  const main = gates[0] ?? hold('none', HOLD_GATES.none);
  return { ...main, behind, gates };
}

/** What is out of the queue's hands. */
function settledHold({ state, error, sentAt }: HoldFacts): Hold | null {
  switch (state) {
    case 'sent':
      return hold('final', `It was sent${sentAt === null ? '' : ` at ${formatIso(sentAt)}`}.`);
    case 'error':
      return hold('final', `It ended in error: ${error ?? 'nobody knows why.'}`);
    case 'sending':
      return hold('sending', HOLD_GATES.sending);
    case 'uncertain':
      return hold(
        'uncertain',
        `The server may or may not have it: say so with "messages resolve". ${error ?? ''}`,
      );
    default:
      return null;
  }
}

function hold(gate: HoldGate, reason: string, until: Millis | null = null): Hold {
  return { gate, until, reason: reason.trim() };
}

function personHolds(facts: HoldFacts, sending: SendingState): RankedHold[] {
  const { account, accountId, tenantSuspendedAt, batchSuspendedAt, lane } = facts;
  const reasons: Array<[HoldGate, string | false]> = [
    [
      'account_missing',
      account === null && `Its account "${accountId}" does not exist any more: add it, or retry the message.`,
    ],
    [
      'tenant_inactive',
      !facts.tenantActive && 'Its tenant is not active: the operator activates it with "tenants activate".',
    ],
    [
      'tenant_suspended',
      tenantSuspendedAt !== null &&
        `Sending is suspended for its tenant since ${formatIso(tenantSuspendedAt)}: "activate" ends that.`,
    ],
    [
      'batch_suspended',
      batchSuspendedAt !== null &&
        `Its batch "${facts.batchCode}" is suspended since ${formatIso(batchSuspendedAt)}: "activate --batch" ends that.`,
    ],
    // What a daemon published that is gone may long be over.
    [
      'account_held',
      sending === 'active' &&
        typeof lane?.held === 'string' &&
        `Its account "${accountId}" is held: ${lane.held}`,
    ],
    ['daemon_stopped', sending === 'stopped' && 'The daemon does not run: "start" it.'],
    [
      'scheduler_inactive',
      sending === 'inactive' && 'The daemon runs, but does not send (GMP_SCHEDULER_ACTIVE).',
    ],
  ];
  return reasons.flatMap(([gate, reason]) =>
    reason === false ? [] : [{ ...hold(gate, reason), needsPerson: true as const, notBefore: 0 }],
  );
}

function timedHolds(facts: HoldFacts, sending: SendingState, now: Millis): RankedHold[] {
  const { dueAt, lane, ahead } = facts;
  const holds: RankedHold[] = [];
  const add = (gate: HoldGate, reason: string, until: Millis | null, notBefore = until ?? now) =>
    holds.push({ ...hold(gate, reason, until), notBefore });
  if (facts.state !== 'ready' && dueAt > now) add(...waitingHold(facts), dueAt);

  const openUntil = sending === 'active' && lane !== null ? lane.openUntil : 0;
  if (openUntil > now) {
    const { failures, reason } = lane as NonNullable<typeof lane>;
    const times = failures === 1 ? 'once' : `${failures} times in a row`;
    add(
      'breaker',
      `Its account "${facts.accountId}" could not be used ${times}: ${reason ?? 'no reason known.'}`,
      openUntil,
    );
  }
  const forecast = rateForecast(facts, Math.max(now, openUntil), now);
  if (forecast?.limitedBy) {
    const isRejected = facts.account?.limitBehavior === 'reject';
    const until = isRejected ? null : forecast.at;
    add('rate_limit', limitReason(facts, forecast, isRejected), until, forecast.notBefore);
  }
  if (facts.state === 'ready' && ahead > 0) {
    const n = ahead > MOST_COUNTED ? `more than ${MOST_COUNTED.toLocaleString('en')}` : String(ahead);
    add(
      'queue',
      `${n} ${ahead === 1 ? 'message goes' : 'messages go'} before it through the account "${facts.accountId}".`,
      null,
    );
  }
  const most = facts.account?.maxConnections ?? 1;
  if (facts.state === 'ready' && facts.sending >= most) {
    const all = most === 1 ? 'The one connection' : `All ${most} connections`;
    add(
      'connections',
      `${all} of its account "${facts.accountId}" ${most === 1 ? 'is' : 'are'} in use: it goes when one is free.`,
      null,
    );
  }
  return holds;
}

function waitingHold({ deferredAt, dueAt, retryCount, error }: HoldFacts): [HoldGate, string] {
  if (retryCount === 0 && deferredAt === dueAt) return ['deferred_time', HOLD_GATES.deferred_time];
  const last = error === null ? '' : ` Last: ${/[.!?]$/.test(error) ? error : `${error}.`}`;
  return ['retry', `It waits for attempt ${retryCount + 1}.${last}`];
}

function rateForecast(facts: HoldFacts, from: Millis, now: Millis): RateForecast | null {
  const { account, windows } = facts;
  if (account === null || windows.length === 0) return null;
  // What is over the limits of an account that rejects is gone, not in line.
  const isAlone = account.limitBehavior === 'reject' && facts.state !== 'ready';
  const [ahead, inLine] = isAlone ? [0, 0] : [facts.ahead, Math.max(facts.inLine, facts.ahead)];
  return forecastCharge(windows, { from, ahead, inLine, dueAt: Math.max(facts.dueAt, now) });
}

const WINDOW_NAMES: Readonly<Record<number, string>> = {
  60000: 'a minute',
  3600000: 'an hour',
  86400000: 'a day',
};

function limitReason(
  facts: HoldFacts,
  { at, notBefore, limitedBy }: RateForecast,
  isRejected: boolean,
): string {
  const { of, limit, windowMs } = limitedBy as ChargedWindow;
  const whose = of === 'account' ? `Its account "${facts.accountId}"` : 'Its tenant';
  const messages = limit === 1 ? 'message' : 'messages';
  const used = `${whose} may send ${limit} ${messages} ${WINDOW_NAMES[windowMs] ?? `in ${windowMs} ms`}, and that is used up`;
  if (isRejected) return `${used}: what is over it ends in error.`;
  return at === null ? `${used} by those before it; it goes later than ${formatIso(notBefore)}.` : `${used}.`;
}

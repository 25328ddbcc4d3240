import { nextAttempt } from '../core/backoff.js';
import { retryHint } from '../core/retry-hint.js';
import type { SendOutcome } from '../core/smtp-outcome.js';
import type { Millis, RandomSource } from '../core/types.js';
import { judgeOutcome } from '../core/verdict.js';
import type { Claim, RecipientResult, Settlement } from '../store/claim-types.js';
import { explainFailure, type FailureAddress } from './explain-failure.js';

/** What a decision is made with: the moment, chance, and whom to name as the server. */
export interface SettlementContext {
  now: Millis;
  random: RandomSource;
  server: FailureAddress;
}

/**
 * Decides how a claim ends from what the server said: each recipient by itself, then the message as a whole. Only
 * recipients without a final outcome stay pending and are tried again.
 */
export function settlementOf(
  claim: Claim,
  outcome: SendOutcome,
  { now, random, server }: SettlementContext,
): Settlement {
  const judged = judgeOutcome(outcome);
  const recipients = claim.recipients.map(({ position }, i): RecipientResult => {
    const judgement = judged[i];
    if (judgement === undefined) return { position, state: 'pending', code: null, reply: null };
    const { verdict, code, reply } = judgement;
    const said = reply === '' ? null : reply;
    const state = verdict === 'retry' || verdict === 'uncertain' ? 'pending' : verdict;
    return { position, state, code, reply: said };
  });
  const base = { pk: claim.pk, claim: claim.claim, recipients };
  // The server never saw it, so that no reply says why.
  if (outcome.failure?.isLocalRefusal) {
    return { ...base, next: { kind: 'error', error: explainFailure(outcome.failure, server) } };
  }
  const open = judged.filter(({ verdict }) => verdict === 'retry' || verdict === 'uncertain');
  if (open.length === 0) return { ...base, next: { kind: 'final' } };

  const explained =
    outcome.failure === null ? 'No definite answer came.' : explainFailure(outcome.failure, server);
  const said = open.find(({ reply }) => reply !== '')?.reply ?? explained;
  const { retryCount, expiresAt } = claim;
  const hint = longest(open.map(retryHint));
  const dueAt = nextAttempt({ retryCount, now, expiresAt, random, hint });
  if (open.some(({ verdict }) => verdict === 'uncertain')) {
    const error = `No definite answer came after the message was handed over: ${said}`;
    // Whether it goes out again is for the tenant's policy to say, even when no time is left for it.
    return { ...base, next: { kind: 'uncertain', dueAt, error } };
  }
  if (dueAt === 'expired') {
    return {
      ...base,
      next: { kind: 'error', error: `The message expired before it was accepted. Last: ${said}` },
    };
  }
  return { ...base, next: { kind: 'retry', dueAt, error: said } };
}

/** All that is tried again goes together, so that it waits for the one that asked for most. */
function longest(hints: ReadonlyArray<Millis | undefined>): Millis | undefined {
  return hints.reduce((most, hint) => (hint !== undefined && hint > (most ?? 0) ? hint : most), undefined);
}

/** Gives a claim back untouched: nothing was offered to the server. */
export function releaseOf(claim: Claim, reason: string | null): Settlement {
  return {
    pk: claim.pk,
    claim: claim.claim,
    recipients: [],
    next: { kind: 'release', error: reason },
  };
}

/** Gives a message up that can never be sent, whatever the server says. */
export function failureOf(claim: Claim, error: string): Settlement {
  return { pk: claim.pk, claim: claim.claim, recipients: [], next: { kind: 'error', error } };
}

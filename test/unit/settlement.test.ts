import { describe, expect, test } from 'vitest';
import { type RecipientOutcome, type SendOutcome, SmtpFailure } from '../../src/core/smtp-outcome.js';
import { failureOf, releaseOf, settlementOf } from '../../src/delivery/settlement.js';
import type { Claim } from '../../src/store/claim-types.js';

const now = 1_000_000;
const HOUR = 3_600_000;

function claimOf(addresses: string[], changes: Partial<Claim> = {}): Claim {
  return {
    pk: 7,
    claim: 3,
    tenantId: 'acme',
    id: 'm1',
    accountPk: 1,
    priority: 2,
    envelopeFrom: 'a@example.com',
    recipients: addresses.map((address, i) => ({ position: i + 4, address })),
    contentKind: 'raw',
    content: Buffer.alloc(0),
    retryCount: 0,
    dueAt: 0,
    expiresAt: now + 48 * HOUR,
    createdAt: now,
    firstDueAt: now,
    ...changes,
  };
}

const taken = (address: string): RecipientOutcome => ({
  address,
  accepted: true,
  code: 250,
  enhanced: null,
  reply: 'ok',
});
const refused = (address: string, code: number): RecipientOutcome => ({
  address,
  accepted: false,
  code,
  enhanced: null,
  reply: `no ${address}`,
});
const final = { code: 250, enhanced: null, reply: 'queued' };

function settle(claim: Claim, outcome: SendOutcome) {
  const server = { host: 'smtp.example.com', port: 25 };
  return settlementOf(claim, outcome, { now, random: () => 0.5, server });
}

describe('how a claim ends', () => {
  test('all accepted is final, every recipient sent, at its own position', () => {
    const { recipients, next, pk, claim } = settle(claimOf(['a@x', 'b@x']), {
      recipients: [taken('a@x'), taken('b@x')],
      final,
      failure: null,
    });
    expect({ pk, claim, next }).toEqual({ pk: 7, claim: 3, next: { kind: 'final' } });
    expect(recipients).toEqual([
      { position: 4, state: 'sent', code: 250, reply: 'ok' },
      { position: 5, state: 'sent', code: 250, reply: 'ok' },
    ]);
  });

  test('pitfall 17: each recipient has its own outcome, and only what was put off is tried again', () => {
    const { recipients, next } = settle(claimOf(['a@x', 'b@x', 'c@x']), {
      recipients: [taken('a@x'), refused('b@x', 550), refused('c@x', 451)],
      final,
      failure: null,
    });
    expect(recipients.map(({ state }) => state)).toEqual(['sent', 'error', 'pending']);
    expect(next).toEqual({ kind: 'retry', dueAt: now + 60_000, error: 'no c@x' });
  });

  test('what is tried again waits for the one that asked for most time', () => {
    const greylisted = { ...refused('b@x', 450), reply: 'Greylisted, try again in 10 minutes' };
    const { next } = settle(claimOf(['a@x', 'b@x']), {
      recipients: [refused('a@x', 451), greylisted],
      final: null,
      failure: null,
    });
    expect(next).toMatchObject({ kind: 'retry', dueAt: now + 630_000 });
  });

  test('every recipient refused for good is final', () => {
    const { next } = settle(claimOf(['a@x']), {
      recipients: [refused('a@x', 550)],
      final: null,
      failure: null,
    });
    expect(next).toEqual({ kind: 'final' });
  });

  test('a retry for which no time is left is given up instead', () => {
    const claim = claimOf(['a@x'], { retryCount: 4, expiresAt: now + 20_000 });
    const { next } = settle(claim, { recipients: [refused('a@x', 451)], final: null, failure: null });
    expect(next).toEqual({
      kind: 'error',
      error: 'The message expired before it was accepted. Last: no a@x',
    });
  });

  test('a connection lost in the body is uncertain', () => {
    const failure = new SmtpFailure({ step: 'body', causeCode: 'ECONNECTION', bodyStarted: true });
    const lost: SendOutcome = {
      recipients: [{ ...taken('a@x'), code: null, reply: '' }],
      final: null,
      failure,
    };
    const { recipients, next } = settle(claimOf(['a@x']), lost);
    expect(recipients).toEqual([{ position: 4, state: 'pending', code: null, reply: null }]);
    expect(next).toMatchObject({ kind: 'uncertain', dueAt: now + 60_000 });
  });

  test('one that is uncertain with no time left says so: sent again at once, it would be sent again and again', () => {
    const failure = new SmtpFailure({ step: 'body', bodyStarted: true });
    const claim = claimOf(['a@x'], { retryCount: 7, expiresAt: now + 20_000 });
    const { next } = settle(claim, { recipients: [taken('a@x')], final: null, failure });
    expect(next).toMatchObject({ kind: 'uncertain', dueAt: 'expired' });
  });

  test('a message that this server cannot take ends in an error that says why', () => {
    const failure = new SmtpFailure({ step: 'mail', causeCode: 'MESSAGE_TOO_LARGE' });
    const recipient = { address: 'a@x', accepted: false, code: null, enhanced: null, reply: '' };
    const { recipients, next } = settle(claimOf(['a@x']), { recipients: [recipient], final: null, failure });
    expect(recipients[0]?.state).toBe('error');
    expect(next).toMatchObject({
      kind: 'error',
      error: expect.stringMatching(/larger than smtp\.example\.com:25/),
    });
  });

  test('a release and a failure touch no recipient', () => {
    expect(releaseOf(claimOf(['a@x']), 'down')).toEqual({
      pk: 7,
      claim: 3,
      recipients: [],
      next: { kind: 'release', error: 'down' },
    });
    expect(failureOf(claimOf(['a@x']), 'broken').next).toEqual({ kind: 'error', error: 'broken' });
  });
});

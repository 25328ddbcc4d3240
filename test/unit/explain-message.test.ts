import { describe, expect, test } from 'vitest';
import { explainMessage, type HoldFacts } from '../../src/core/explain-message.js';
import type { ChargedWindow } from '../../src/core/rate-forecast.js';

const NOW = Date.UTC(2030, 0, 1, 12);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const facts = (changes: Partial<HoldFacts> = {}): HoldFacts => ({
  state: 'ready',
  accountId: 'smtp1',
  batchCode: null,
  deferredAt: null,
  dueAt: NOW - MINUTE,
  expiresAt: NOW + 48 * HOUR,
  sentAt: null,
  retryCount: 0,
  error: null,
  tenantActive: true,
  tenantSuspendedAt: null,
  batchSuspendedAt: null,
  account: { limitBehavior: 'defer', maxConnections: 2 },
  sending: 0,
  lane: null,
  windows: [],
  ahead: 0,
  inLine: 0,
  ...changes,
});
const explain = (
  changes: Partial<HoldFacts> = {},
  sending: Parameters<typeof explainMessage>[1] = 'active',
) => explainMessage(facts(changes), sending, NOW);
const gatesOf = (changes: Partial<HoldFacts>, sending?: Parameters<typeof explainMessage>[1]) =>
  explain(changes, sending).gates.map(({ gate }) => gate);
/** A window that is full of charges of just now. */
const full = (of: ChargedWindow['of'], windowMs: number, limit = 10): ChargedWindow => ({
  of,
  limit,
  windowMs,
  nthNewestCharge: (n) => (n <= limit ? NOW - 1000 : undefined),
});
const broken = { failures: 3, openUntil: NOW + MINUTE, reason: 'Nothing listens.', held: null };

describe('what holds a message', () => {
  test('nothing: it goes now', () => {
    expect(explain()).toEqual({
      gate: 'none',
      until: null,
      reason: expect.any(String),
      behind: 0,
      gates: [],
    });
    expect(explain({ state: 'waiting', dueAt: NOW })).toMatchObject({ gate: 'none', behind: 0 });
    expect(explain({ state: 'suspended', batchCode: 'a' })).toMatchObject({ gate: 'none' });
  });

  test.each<[string, Partial<HoldFacts>, string, number | null, RegExp]>([
    [
      'the time that it was given',
      { state: 'waiting', deferredAt: NOW + HOUR, dueAt: NOW + HOUR },
      'deferred_time',
      NOW + HOUR,
      /sender gave/,
    ],
    [
      'its next attempt',
      { state: 'waiting', dueAt: NOW + HOUR, retryCount: 2, error: '451 not now' },
      'retry',
      NOW + HOUR,
      /attempt 3.*451 not now/,
    ],
    [
      'a retry to the millisecond of its deferred time',
      { state: 'waiting', dueAt: NOW + HOUR, deferredAt: NOW + HOUR, retryCount: 1 },
      'retry',
      NOW + HOUR,
      /attempt 2/,
    ],
    ['its tenant', { tenantSuspendedAt: NOW }, 'tenant_suspended', null, /2030-01-01T12:00:00/],
    ['its tenant’s access', { tenantActive: false }, 'tenant_inactive', null, /tenants activate/],
    ['its batch', { batchCode: 'news', batchSuspendedAt: NOW }, 'batch_suspended', null, /"news"/],
    ['the breaker', { lane: broken }, 'breaker', NOW + MINUTE, /3 times in a row: Nothing listens\./],
    [
      'its account',
      { lane: { ...broken, held: 'It does not open.' } },
      'account_held',
      null,
      /does not open/,
    ],
    ['that its account is gone', { account: null }, 'account_missing', null, /"smtp1"/],
    [
      'a limit of its account',
      { windows: [full('account', MINUTE)] },
      'rate_limit',
      NOW - 1000 + MINUTE,
      /^Its account "smtp1" may send 10 messages a minute/,
    ],
    [
      'a limit of its tenant',
      { windows: [full('tenant', HOUR, 1)] },
      'rate_limit',
      NOW - 1000 + HOUR,
      /^Its tenant may send 1 message an hour/,
    ],
    ['others', { ahead: 12 }, 'queue', null, /^12 messages go/],
    ['one other', { ahead: 1 }, 'queue', null, /^1 message goes/],
    ['its connections', { sending: 2 }, 'connections', null, /^All 2 connections .* are in use/],
    ['very many others', { ahead: 10_001 }, 'queue', null, /^more than 10,000 messages/],
    ['that it is sent', { state: 'sending' }, 'sending', null, /being sent/],
    ['a person', { state: 'uncertain', error: 'cut' }, 'uncertain', null, /messages resolve.*cut/],
    ['its success', { state: 'sent', sentAt: NOW }, 'final', null, /2030-01-01T12/],
    ['its failure', { state: 'error', error: 'no such user' }, 'final', null, /no such user/],
  ])('%s', (_what, changes, gate, until, reason) => {
    expect(explain(changes)).toMatchObject({ gate, until, reason: expect.stringMatching(reason) });
  });

  test('that nothing is sent at all; what the daemon of before knew is not believed then', () => {
    const lane = { ...broken, held: 'old' };
    expect(gatesOf({ lane }, 'stopped')).toEqual(['daemon_stopped']);
    expect(gatesOf({ lane }, 'inactive')).toEqual(['scheduler_inactive']);
    expect(explain({}, 'stopped')).toMatchObject({ until: null });
  });
});

describe('of several', () => {
  test('the one that ends last is the answer, and all are listed', () => {
    const both = { lane: broken, windows: [full('account', HOUR)], ahead: 2 };
    expect(gatesOf(both)).toEqual(['rate_limit', 'breaker', 'queue']);
    expect(explain(both)).toMatchObject({ until: NOW - 1000 + HOUR, behind: 2 });
    expect(gatesOf({ ...both, windows: [full('account', 30_000)] })).toEqual(['breaker', 'queue']);
  });

  test('one that needs a person comes first, in the order in which they are looked into', () => {
    const all = { tenantActive: false, batchCode: 'b', batchSuspendedAt: NOW, lane: broken };
    expect(gatesOf({ ...all, account: null })).toEqual([
      'account_missing',
      'tenant_inactive',
      'batch_suspended',
      'breaker',
    ]);
  });

  test('a limit is reckoned from when the breaker lets anything go', () => {
    const window = { ...full('account', MINUTE, 1), nthNewestCharge: () => undefined };
    expect(explain({ lane: broken, windows: [window], ahead: 2 })).toMatchObject({
      gate: 'rate_limit',
      until: broken.openUntil + 2 * MINUTE,
    });
  });
});

describe('a limit', () => {
  test('that rejects ends what is over it', () => {
    const account = { limitBehavior: 'reject', maxConnections: 2 } as const;
    const windows = [full('account', MINUTE)];
    expect(explain({ account, windows })).toMatchObject({
      gate: 'rate_limit',
      until: null,
      reason: expect.stringMatching(/ends in error/),
    });
    const later = {
      state: 'waiting',
      dueAt: NOW + HOUR,
      retryCount: 1,
      account,
      windows,
      inLine: 500,
    } as const;
    expect(gatesOf(later)).toEqual(['retry']);
  });

  test('that is further away than anybody reckons is later than a moment', () => {
    const window = { ...full('account', MINUTE, 1), nthNewestCharge: () => undefined };
    expect(explain({ windows: [window], ahead: 5000, inLine: 1001 })).toMatchObject({
      gate: 'rate_limit',
      until: null,
      reason: expect.stringMatching(/later than 2030-01-02T04:40:00/),
      behind: 5000,
    });
  });
});

test('that it ends before it may go is said', () => {
  const changes = { windows: [full('account', HOUR)], expiresAt: NOW + MINUTE };
  expect(explain(changes).reason).toMatch(/ends before that/);
});

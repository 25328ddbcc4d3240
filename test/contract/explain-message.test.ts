import { beforeEach, describe, expect, test } from 'vitest';
import type { SendingState } from '../../src/core/hold.js';
import { explainOf } from '../../src/services/explain-message.js';
import { messageHistory } from '../../src/services/message-history.js';
import type { Claim, Settlement } from '../../src/store/claim-types.js';
import type { TenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  addLane,
  by,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
  tenantChange,
} from '../support/temp-store.js';

const closing = useCleanup();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
let temp: TempStore;
let scope: TenantScope;
let lane: { accountPk: number; tenantId: string };
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  ({ scope, lane } = await addLane(temp.store, 'acme'));
});

const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
  temp.store.queue.enqueue(
    scope,
    messages.map((it) => newMessage(...it)),
    NOON,
  );
const explained = async (id: string, sending: SendingState = 'active', now = NOON) =>
  (await explainOf({ store: temp.store, now: () => now }, 'acme', id, sending)).hold;
const gatesOf = async (id: string) => (await explained(id)).gates.map(({ gate }) => gate);
const claim = async (now = NOON): Promise<Claim> => {
  const { claims } = await temp.store.claims.claimDue(lane, { limit: 1, owner: 'o', now, leaseMs: MINUTE });
  return claims[0] as Claim;
};
const settle = ({ pk, claim: number }: Claim, next: Settlement['next'], now = NOON) =>
  temp.store.claims.settle({ pk, claim: number, recipients: [], next }, now);
const change = (account: Parameters<typeof accountChange>[0]) =>
  temp.store.accounts.put(scope, 'smtp1', by(NOON), () => accountChange(account));

describe('what holds a message', () => {
  test('is nothing when it goes now, and the line when others go before it', async () => {
    await enqueue(['b'], ['a', { priority: 0 }], ['c']);
    expect(await explained('a')).toMatchObject({ gate: 'none', behind: 0, gates: [] });
    expect(await explained('c')).toMatchObject({
      gate: 'queue',
      behind: 2,
      until: null,
      reason: expect.stringContaining('2 messages go'),
    });
  });

  test('is the time that its sender set', async () => {
    await enqueue(['m', { deferredAt: NOON + HOUR }]);
    expect(await explained('m')).toMatchObject({ gate: 'deferred_time', until: NOON + HOUR });
  });

  test('is its next attempt, with the last answer', async () => {
    await enqueue(['m']);
    await settle(await claim(), { kind: 'retry', dueAt: NOON + MINUTE, error: '450 not now' });
    expect(await explained('m')).toMatchObject({
      gate: 'retry',
      until: NOON + MINUTE,
      reason: expect.stringContaining('450 not now'),
    });
  });

  test('is a suspension before all that ends by itself', async () => {
    await enqueue(['m', { batchCode: 'Q1', deferredAt: NOON + HOUR }]);
    await temp.store.suspensions.suspend(scope, 'Q1', by(NOON));
    expect(await explained('m')).toMatchObject({ gate: 'batch_suspended', until: null });
    await temp.store.suspensions.suspend(scope, undefined, by(NOON));
    await temp.store.tenants.put(scope, by(NOON), () => tenantChange({ active: false }));
    expect(await gatesOf('m')).toEqual([
      'tenant_inactive',
      'tenant_suspended',
      'batch_suspended',
      'deferred_time',
    ]);
  });

  test('is the breaker of its account, or that its password does not open', async () => {
    await enqueue(['m']);
    const down = { failures: 2, openUntil: NOON + MINUTE, reason: 'Connection refused.', held: null };
    await temp.store.laneStates.note(lane.accountPk, down);
    expect(await explained('m')).toMatchObject({
      gate: 'breaker',
      until: NOON + MINUTE,
      reason: expect.stringContaining('Connection refused'),
    });
    await temp.store.laneStates.note(lane.accountPk, { ...down, held: 'The password does not open.' });
    expect(await explained('m')).toMatchObject({ gate: 'account_held', until: null });
    await temp.store.laneStates.note(lane.accountPk, { failures: 0, openUntil: 0, reason: null, held: null });
    expect(await explained('m')).toMatchObject({ gate: 'none' });
  });

  test('is a rate limit, with the exact time of the n-th in line', async () => {
    await change({ limitMinute: 2 });
    await enqueue(['a'], ['b'], ['c'], ['d'], ['e']);
    await claim(NOON);
    await claim(NOON + 10);
    const at = async (id: string) => (await explained(id, 'active', NOON + 20)).until;
    expect([await at('c'), await at('d'), await at('e')]).toEqual([
      NOON + MINUTE,
      NOON + MINUTE + 10,
      NOON + 2 * MINUTE,
    ]);
    expect(await explained('c', 'active', NOON + 20)).toMatchObject({ gate: 'rate_limit' });
  });

  test('is that no daemon sends', async () => {
    await enqueue(['m']);
    expect(await explained('m', 'inactive')).toMatchObject({ gate: 'scheduler_inactive', until: null });
  });

  test('is nothing any more once it is final, on its way, or for a person to decide', async () => {
    await enqueue(['m']);
    const claimed = await claim();
    expect(await explained('m')).toMatchObject({ gate: 'sending' });
    await temp.store.tenants.put(scope, by(NOON), () => tenantChange({ onUncertain: 'hold' }));
    await temp.store.claims.markHandedOver(claimed.pk, claimed.claim);
    await settle(claimed, { kind: 'uncertain', dueAt: NOON + MINUTE, error: 'lost' });
    expect(await explained('m')).toMatchObject({ gate: 'uncertain' });
    await temp.store.resolveMessage(scope, 'm', { outcome: 'sent', reason: undefined }, by(NOON));
    expect(await explained('m')).toMatchObject({ gate: 'final' });
  });
});

describe('the history of a message', () => {
  const history = async (id: string, page: { cursor?: string; limit: number } = { limit: 100 }) =>
    await messageHistory({ store: temp.store }, 'acme', id, page);

  test('tells attempts, lateness and the outcome in order, a page at a time', async () => {
    await enqueue(['m']);
    await settle(await claim(), { kind: 'retry', dueAt: NOON + 4 * HOUR, error: '450 not now' });
    await temp.store.claims.promoteDue(NOON + 3 * HOUR, 10);
    await temp.store.claims.promoteDue(NOON + 4 * HOUR, 10);
    await settle(await claim(NOON + 4 * HOUR), { kind: 'final' }, NOON + 4 * HOUR);
    const { items } = await history('m');
    expect(items.map(({ type, at, data }) => [type, at - NOON, data])).toEqual([
      ['deferred', 0, { error: '450 not now', next_attempt_ts: (NOON + 4 * HOUR) / 1000 }],
      ['late', 3 * HOUR, { since_ts: NOON / 1000, error: '450 not now' }],
      ['sent', 4 * HOUR, {}],
    ]);
    const first = await history('m', { limit: 2 });
    expect(first.items).toHaveLength(2);
    const rest = await history('m', { limit: 2, cursor: first.nextCursor as string });
    expect(rest.items.map(({ type }) => type)).toEqual(['sent']);
  });

  test('tells lateness of one that a person had tried again from that moment on', async () => {
    await enqueue(['m']);
    await settle(await claim(), { kind: 'error', error: '550 no' });
    await temp.store.retries.retryNamed(scope, ['m'], 0, by(NOON + 5 * HOUR));
    await temp.store.claims.promoteDue(NOON + 8 * HOUR, 10);
    const [, , late] = await temp.store.lastEvents(scope, 'm', 3);
    expect(late).toMatchObject({ type: 'late', data: { since_ts: (NOON + 5 * HOUR) / 1000 } });
    expect(await temp.store.lastEvents(scope, 'm', 1)).toEqual([late]);
  });

  test('tells lateness once, and not of a message whose own time has not come', async () => {
    await enqueue(['m', { deferredAt: NOON + 10 * HOUR }]);
    await temp.store.claims.promoteDue(NOON + 9 * HOUR, 10);
    expect((await history('m')).items).toEqual([]);
    await temp.store.claims.promoteDue(NOON + 13 * HOUR, 10);
    await temp.store.claims.promoteDue(NOON + 14 * HOUR, 10);
    expect((await history('m')).items.map(({ type }) => type)).toEqual(['late']);
  });

  test('of a message that is not there is refused', async () => {
    await expect(history('none')).rejects.toMatchObject({ code: 'message_not_found' });
  });
});

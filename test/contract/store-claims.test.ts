import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Claim, Settlement } from '../../src/store/claim-types.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  addLane,
  by,
  countedBySqlite,
  keptCounters,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
  tenantChange,
} from '../support/temp-store.js';

const closing = useCleanup();
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const middle = () => 0.5;
const acme = tenantScope('acme');
let temp: TempStore;
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
});

type Lane = Awaited<ReturnType<typeof addLane>>['lane'];
const claimDue = (lane: Lane, limit = 99, now = NOON) =>
  temp.store.claims.claimDue(lane, { limit, owner: 'o', now, leaseMs: 1000 });
const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
  temp.store.queue.enqueue(
    acme,
    messages.map((it) => newMessage(...it)),
    NOON,
  );
const get = (id: string) => temp.store.messages.get(acme, id);
const settle = ({ pk, claim }: Claim, next: Settlement['next'], now = NOON) =>
  temp.store.claims.settle({ pk, claim, recipients: [], next }, now);
const idsOf = ({ claims }: { claims: Claim[] }) => claims.map(({ id }) => id);
const only = ({ claims }: { claims: Claim[] }): Claim => {
  expect(claims).toHaveLength(1);
  return claims[0] as Claim;
};

describe('claiming', () => {
  test('goes by priority, then by time, then by arrival', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['low', { priority: 3 }], ['b'], ['a'], ['later', { deferredAt: NOON + 1 }]);
    await temp.store.queue.enqueue(acme, [newMessage('second')], NOON + 2);
    await temp.store.queue.enqueue(acme, [newMessage('first', { priority: 0 })], NOON + 3);
    await temp.store.claims.promoteDue(NOON + 5, 99);
    const taken = [...idsOf(await claimDue(lane, 2, NOON + 5)), ...idsOf(await claimDue(lane, 9, NOON + 5))];
    expect(taken).toEqual(['first', 'b', 'a', 'later', 'second', 'low']);
  });

  test('takes from its budget once, also when it is run again because a job beside it failed', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['a'], ['b']);
    const budget = { left: 1, isWhole: true };
    const options = { limit: 9, owner: 'o', now: NOON, leaseMs: 1000, budget };
    const [claimed, beside] = await Promise.allSettled([
      temp.store.claims.claimDue(lane, options),
      temp.store.queue.enqueue(tenantScope('nobody'), [newMessage('c')], NOON),
    ]);
    expect(beside).toMatchObject({ status: 'rejected', reason: { code: 'tenant_not_found' } });
    // The first is larger than the budget, and goes because there is nothing else.
    expect(claimed).toMatchObject({ status: 'fulfilled', value: { claims: [{ id: 'a' }] } });
    expect(budget).toMatchObject({ isWhole: false });
  });

  test('pitfall 16: takes each message once, also when two ask at the same time', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(...Array.from({ length: 20 }, (_, n): [string] => [`m${n}`]));
    const taken = await Promise.all(Array.from({ length: 5 }, () => claimDue(lane, 6)));
    const ids = taken.flatMap(idsOf);
    expect(ids).toHaveLength(20);
    expect(new Set(ids).size).toBe(20);
  });

  test('takes nothing of a tenant that is not active, nor under the name of another', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await addLane(temp.store, 'globex');
    await enqueue(['m']);
    expect(idsOf(await claimDue({ ...lane, tenantId: 'globex' }))).toEqual([]);
    await temp.store.tenants.put(acme, by(NOON), () => tenantChange({ active: false }));
    expect(await temp.store.claims.lanesReady()).toEqual([]);
    expect(idsOf(await claimDue(lane))).toEqual([]);
  });

  test('takes nothing that has expired', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m', { expiresAt: NOON + 5 }]);
    expect(idsOf(await claimDue(lane, 9, NOON + 5))).toEqual([]);
  });

  test('pitfall 18: content that is gone spoils its own message only', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['bad'], ['good']);
    temp.raw.exec(
      "DELETE FROM message_contents WHERE message_pk = (SELECT pk FROM messages WHERE id = 'bad')",
    );
    const { claims } = await claimDue(lane);
    expect(claims.map(({ id, contentKind, content }) => [id, contentKind, content.length > 0])).toEqual([
      ['bad', 'composed', false],
      ['good', 'raw', true],
    ]);
  });

  test('takes nothing of a tenant from the moment its deletion begins', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m']);
    const deleting = temp.store.tenants.delete(acme, by(NOON));
    const claiming = claimDue(lane);
    expect(idsOf(await claiming)).toEqual([]);
    expect(await deleting).toBe(true);
  });
});

describe('fencing', () => {
  test('pitfall 16: a late result of an older claim is dropped', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m']);
    const old = only(await claimDue(lane));
    await temp.store.claims.recover(NOON + 1000, 'expired', middle);
    const present = only(await claimDue(lane, 9, NOON + 1000));
    expect(present.claim).toBeGreaterThan(old.claim);
    expect(await settle(old, { kind: 'error', error: 'late' })).toBe(false);
    expect(await temp.store.claims.markHandedOver(old.pk, old.claim)).toBe(false);
    expect(await get('m')).toMatchObject({ status: 'sending', error: null });
    expect(await temp.store.claims.markHandedOver(present.pk, present.claim)).toBe(true);
    expect(await settle(present, { kind: 'final' })).toBe('sent');
    expect(await settle(present, { kind: 'error', error: 'twice' })).toBe(false);
    expect(await temp.store.claims.markHandedOver(present.pk, present.claim)).toBe(false);
    expect(await get('m')).toMatchObject({ status: 'sent' });
  });

  test('a message that was deleted meanwhile can be neither marked nor settled', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m']);
    const claim = only(await claimDue(lane));
    await temp.store.tenants.delete(acme, by(NOON));
    expect(await temp.store.claims.markHandedOver(claim.pk, claim.claim)).toBe(false);
    expect(await settle(claim, { kind: 'final' })).toBe(false);
  });

  test('a lease is renewed for what is worked on and for nothing else', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['kept'], ['lost']);
    const [kept] = (await claimDue(lane)).claims;
    await temp.store.claims.renewLeases(kept === undefined ? [] : [kept], NOON + HOUR);
    expect(await temp.store.claims.recover(NOON + 1000, 'expired', middle)).toEqual({
      freed: 1,
      retried: 0,
      held: 0,
    });
    expect([(await get('kept'))?.status, (await get('lost'))?.status]).toEqual(['sending', 'pending']);
  });
});

describe('the end of a claim', () => {
  const to = ['a@x.example', 'b@x.example', 'c@x.example'];
  const envelope = { from: 's@example.com', to };

  test('pitfall 17: a recipient that was refused makes the whole an error that names it; the others are sent', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m', { envelope }]);
    const { pk, claim } = only(await claimDue(lane));
    const said = (position: number, state: 'sent' | 'error', code: number) => ({
      position,
      state,
      code,
      reply: `r${position}`,
    });
    const recipients = [said(0, 'sent', 250), said(1, 'error', 550), said(2, 'sent', 250)];
    await temp.store.claims.settle({ pk, claim, recipients, next: { kind: 'final' } }, NOON + 1);
    expect(await get('m')).toMatchObject({
      status: 'error',
      errorAt: NOON + 1,
      error: 'Refused: b@x.example (550 r1)',
      recipients: [
        { state: 'sent', code: 250, reply: 'r0', at: NOON + 1 },
        { state: 'error', code: 550 },
        { state: 'sent' },
      ],
    });
  });

  test('only recipients without an outcome are claimed again', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m', { envelope }]);
    const { pk, claim } = only(await claimDue(lane));
    const recipients = (['sent', 'pending', 'error'] as const).map((state, position) => ({
      position,
      state,
      code: null,
      reply: null,
    }));
    const next = { kind: 'retry' as const, dueAt: NOON + MINUTE, error: '451 later' };
    await temp.store.claims.settle({ pk, claim, recipients, next }, NOON);
    expect(await get('m')).toMatchObject({
      status: 'deferred',
      retryCount: 1,
      nextAttemptAt: NOON + MINUTE,
      error: '451 later',
    });
    expect(await temp.store.claims.nextDueAt()).toBe(NOON + MINUTE);
    expect(await temp.store.claims.promoteDue(NOON + MINUTE - 1, 9)).toMatchObject({
      promoted: 0,
      expired: 0,
    });
    expect(await temp.store.claims.promoteDue(NOON + MINUTE, 9)).toMatchObject({ promoted: 1, expired: 0 });
    const again = only(await claimDue(lane, 9, NOON + MINUTE));
    expect(again.recipients).toEqual([{ position: 1, address: 'b@x.example' }]);
    expect(again.retryCount).toBe(1);
  });

  test('a release counts no attempt, gives the charge back and keeps the place in the queue', async () => {
    const { lane } = await addLane(temp.store, 'acme', { limitDay: 1 }, { limitDaily: 1 });
    await enqueue(['first']);
    await temp.store.queue.enqueue(acme, [newMessage('second')], NOON + 1);
    const claim = only(await claimDue(lane, 9, NOON + 2));
    expect(idsOf(await claimDue(lane, 9, NOON + 2))).toEqual([]);
    await settle(claim, { kind: 'release', error: 'down' }, NOON + 3);
    expect(temp.raw.prepare('SELECT COUNT(*) FROM rate_charges').pluck().get()).toBe(0);
    expect(await get('first')).toMatchObject({ status: 'pending', retryCount: 0, error: 'down' });
    expect(only(await claimDue(lane, 9, NOON + 4)).id).toBe('first');
  });

  test('uncertain is sent again or held, as the tenant says', async () => {
    const retrying = await addLane(temp.store, 'acme');
    const holding = await addLane(temp.store, 'globex', {}, { onUncertain: 'hold' });
    for (const { scope, lane } of [retrying, holding]) {
      await temp.store.queue.enqueue(scope, [newMessage('m')], NOON);
      await settle(only(await claimDue(lane)), { kind: 'uncertain', dueAt: NOON + MINUTE, error: 'lost' });
    }
    expect(await get('m')).toMatchObject({ status: 'deferred', retryCount: 1, error: 'lost' });
    expect(await temp.store.messages.get(holding.scope, 'm')).toMatchObject({
      status: 'uncertain',
      error: 'lost',
    });
  });

  test('uncertain with no time left is never sent again at once', async () => {
    const retrying = await addLane(temp.store, 'acme');
    const holding = await addLane(temp.store, 'globex', {}, { onUncertain: 'hold' });
    for (const { scope, lane } of [retrying, holding]) {
      await temp.store.queue.enqueue(scope, [newMessage('m')], NOON);
      await settle(only(await claimDue(lane)), { kind: 'uncertain', dueAt: 'expired', error: 'lost.' });
    }
    expect(await get('m')).toMatchObject({
      status: 'error',
      error: expect.stringMatching(/^lost\. No time/),
    });
    expect((await temp.store.messages.get(holding.scope, 'm'))?.status).toBe('uncertain');
  });

  test('an expired message ends in error with what happened last', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['new', { expiresAt: NOON + HOUR }], ['tried', { expiresAt: NOON + HOUR }], ['lives']);
    const claim = (await claimDue(lane)).claims.find(({ id }) => id === 'tried') as Claim;
    await settle(claim, { kind: 'retry', dueAt: NOON + 2 * HOUR, error: '451 busy' });
    await temp.store.claims.recover(NOON, 'all', middle);
    expect(await temp.store.claims.nextDueAt()).toBe(NOON + HOUR);
    expect(await temp.store.claims.promoteDue(NOON + HOUR, 99)).toMatchObject({ promoted: 0, expired: 2 });
    expect(await get('new')).toMatchObject({ status: 'error', recipients: [{ state: 'error' }] });
    expect((await get('tried'))?.error).toMatch(/expired.*Last: 451 busy/);
    expect((await get('lives'))?.status).toBe('pending');
  });
});

describe('recovery', () => {
  const crash = async (policy: 'retry' | 'hold') => {
    const { lane } = await addLane(temp.store, 'acme', { limitDay: 9 }, { onUncertain: policy });
    await enqueue(['unsent'], ['marked']);
    await temp.store.queue.enqueue(acme, [newMessage('newer')], NOON + 1);
    const { claims } = await claimDue(lane, 2);
    const marked = claims[1] as Claim;
    await temp.store.claims.markHandedOver(marked.pk, marked.claim);
    await temp.reopen();
    return lane;
  };

  test('of a crash: what was not offered is free at once, in its old place, and not charged', async () => {
    const lane = await crash('retry');
    expect(await temp.store.claims.recover(NOON, 'all', middle)).toEqual({ freed: 1, retried: 1, held: 0 });
    expect(await get('unsent')).toMatchObject({ status: 'pending', retryCount: 0, error: null });
    expect(temp.raw.prepare('SELECT COUNT(*) FROM rate_charges').pluck().get()).toBe(1);
    expect(idsOf(await claimDue(lane, 1))).toEqual(['unsent']);
  });

  test('of a crash under retry: what was being handed over is sent again', async () => {
    await crash('retry');
    await temp.store.claims.recover(NOON, 'all', middle);
    expect(await get('marked')).toMatchObject({ status: 'pending', retryCount: 1 });
  });

  test('of one crash after the other: each copy that may go out waits longer than the one before', async () => {
    const lane = await crash('retry');
    await temp.store.claims.recover(NOON, 'all', middle);
    const marked = (await claimDue(lane)).claims.find(({ id }) => id === 'marked') as Claim;
    await temp.store.claims.markHandedOver(marked.pk, marked.claim);
    await temp.store.claims.recover(NOON, 'all', middle);
    expect(await get('marked')).toMatchObject({
      status: 'deferred',
      retryCount: 2,
      nextAttemptAt: NOON + 5 * MINUTE,
    });
  });

  test('of what is claimed again and again and never offered waits a while: it may be what ends the process', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['poison']);
    for (let crashes = 1; crashes <= 20; crashes++) {
      expect(idsOf(await claimDue(lane))).toEqual(['poison']);
      await temp.store.claims.recover(NOON, 'all', middle);
    }
    await claimDue(lane);
    await temp.store.claims.recover(NOON, 'all', middle);
    expect(await get('poison')).toMatchObject({
      status: 'deferred',
      retryCount: 0,
      nextAttemptAt: NOON + 5000,
    });
  });

  test('of a crash under retry with no time left ends in error', async () => {
    const { lane } = await addLane(temp.store, 'acme');
    await enqueue(['m', { expiresAt: NOON + HOUR }]);
    for (const now of [NOON, NOON + HOUR - 10_000]) {
      const claim = only(await claimDue(lane, 9, now));
      await temp.store.claims.markHandedOver(claim.pk, claim.claim);
      await temp.store.claims.recover(now, 'all', middle);
    }
    expect(await get('m')).toMatchObject({
      status: 'error',
      error: expect.stringContaining('No time was left'),
    });
  });

  test('of a crash under hold: what was being handed over is held, and stays so', async () => {
    const lane = await crash('hold');
    expect(await temp.store.claims.recover(NOON, 'all', middle)).toEqual({ freed: 1, retried: 0, held: 1 });
    await temp.store.claims.recover(NOON + HOUR, 'all', middle);
    await temp.store.claims.promoteDue(NOON + 99 * HOUR, 99);
    expect((await get('marked'))?.status).toBe('uncertain');
    expect(idsOf(await claimDue(lane))).not.toContain('marked');
  });

  test('while others work frees only what has no lease any more', async () => {
    await crash('retry');
    expect(await temp.store.claims.recover(NOON + 999, 'expired', middle)).toEqual({
      freed: 0,
      retried: 0,
      held: 0,
    });
    expect(await temp.store.claims.recover(NOON + 1000, 'expired', middle)).toEqual({
      freed: 1,
      retried: 1,
      held: 0,
    });
  });
});

describe('rate limits', () => {
  const many = (n: number) => enqueue(...Array.from({ length: n }, (_, i): [string] => [`m${i}`]));

  test.each<[string, Parameters<typeof accountChange>[0], number]>([
    ['minute', { limitMinute: 2 }, MINUTE],
    ['hour', { limitHour: 2 }, HOUR],
    ['day', { limitDay: 2 }, 24 * HOUR],
  ])('of an account by the %s slide, and name the moment they let go on', async (_, limits, window) => {
    const { lane } = await addLane(temp.store, 'acme', limits);
    await many(4);
    expect(idsOf(await claimDue(lane, 1, NOON))).toHaveLength(1);
    expect(idsOf(await claimDue(lane, 9, NOON + 10))).toHaveLength(1);
    expect(await claimDue(lane, 9, NOON + 20)).toMatchObject({
      claims: [],
      rejected: 0,
      limitedUntil: NOON + window,
    });
    expect((await claimDue(lane, 9, NOON + window - 1)).claims).toEqual([]);
    expect((await claimDue(lane, 9, NOON + window)).claims).toHaveLength(1);
    expect((await claimDue(lane, 9, NOON + window)).limitedUntil).toBe(NOON + 10 + window);
  });

  test('of a tenant hold over all its accounts together', async () => {
    const one = await addLane(temp.store, 'acme', {}, { limitHourly: 3 });
    const two = await temp.store.accounts.put(acme, 'other', by(NOON), () => accountChange());
    await enqueue(['a'], ['b'], ['c', { accountId: 'other' }], ['d', { accountId: 'other' }]);
    expect((await claimDue(one.lane)).claims).toHaveLength(2);
    const lane = { accountPk: two.pk, tenantId: 'acme' };
    expect((await claimDue(lane)).claims).toHaveLength(1);
    expect((await claimDue(lane)).limitedUntil).toBe(NOON + HOUR);
  });

  test('pitfall 4: equal account ids of two tenants have limits of their own', async () => {
    const lanes = [
      await addLane(temp.store, 'acme', { limitDay: 1 }),
      await addLane(temp.store, 'globex', { limitDay: 1 }),
    ];
    for (const { scope } of lanes)
      await temp.store.queue.enqueue(scope, [newMessage('m1'), newMessage('m2')], NOON);
    for (const { lane } of lanes) expect((await claimDue(lane)).claims).toHaveLength(1);
  });

  test('survive a restart', async () => {
    const { lane } = await addLane(temp.store, 'acme', { limitHour: 1 });
    await many(2);
    const claim = only(await claimDue(lane));
    await settle(claim, { kind: 'final' });
    await temp.reopen();
    expect((await claimDue(lane, 9, NOON + 1)).limitedUntil).toBe(NOON + HOUR);
  });

  test('that reject end what is over them in error', async () => {
    const { lane } = await addLane(temp.store, 'acme', { limitHour: 1, limitBehavior: 'reject' });
    await many(3);
    expect(await claimDue(lane)).toMatchObject({ claims: [{ id: 'm0' }], rejected: 0 });
    expect(await claimDue(lane)).toMatchObject({ claims: [], rejected: 2 });
    expect(await get('m1')).toMatchObject({ status: 'error', error: expect.stringContaining('rate limit') });
    expect(await get('m0')).toMatchObject({ status: 'sending' });
  });

  test('that reject name whose limit it was', async () => {
    const { lane } = await addLane(temp.store, 'acme', { limitBehavior: 'reject' }, { limitHourly: 1 });
    await many(2);
    await claimDue(lane);
    await claimDue(lane);
    expect((await get('m1'))?.error).toContain('limit of the tenant was reached');
  });

  test('forget what no window reaches any more', async () => {
    const { lane } = await addLane(temp.store, 'acme', { limitDay: 5 });
    await many(4);
    await claimDue(lane, 3, NOON);
    await claimDue(lane, 1, NOON + 24 * HOUR);
    expect(temp.raw.prepare('SELECT COUNT(*) FROM rate_charges').pluck().get()).toBe(1);
  });
});

test('the kept counters equal a real count after anything that can happen', async () => {
  const lanes = [await addLane(temp.store, 'acme', { limitHour: 20 }), await addLane(temp.store, 'globex')];
  const claims: Claim[] = [];
  let now = NOON;
  const nexts: Array<() => Settlement['next']> = [
    () => ({ kind: 'final' }),
    () => ({ kind: 'error', error: 'x' }),
    () => ({ kind: 'retry', dueAt: now + 100, error: 'x' }),
    () => ({ kind: 'uncertain', dueAt: now + 100, error: 'x' }),
    () => ({ kind: 'release', error: null }),
  ];
  const act = async (kind: number, which: number): Promise<void> => {
    const { scope, lane } = lanes[which % lanes.length] as (typeof lanes)[number];
    now += 50;
    if (kind <= 2) {
      const deferredAt = kind === 2 ? now + 120 : undefined;
      const message = newMessage(`m${which}`, { deferredAt, expiresAt: now + 500 });
      await temp.store.queue.enqueue(scope, [message], now);
    } else if (kind <= 4) claims.push(...(await claimDue(lane, 2, now)).claims);
    else if (kind === 5) await temp.store.claims.promoteDue(now, 3);
    else if (kind === 6) await temp.store.claims.recover(now, 'expired', middle);
    else if (kind === 7) {
      await temp.store.accounts.delete(scope, 'smtp1', by(now), { failWaiting: true });
      const made = await temp.store.accounts.put(scope, 'smtp1', by(now), () => accountChange());
      lane.accountPk = made.pk;
    } else if (kind === 8) {
      await temp.store.tenants.put(scope, by(now), () =>
        tenantChange({ onUncertain: which > 8 ? 'hold' : 'retry' }),
      );
    } else {
      const claim = claims.splice(which % Math.max(claims.length, 1), 1)[0];
      if (claim !== undefined) await settle(claim, (nexts[kind % nexts.length] as (typeof nexts)[0])(), now);
    }
  };
  const step = fc.tuple(fc.integer({ min: 0, max: 13 }), fc.integer({ min: 0, max: 17 }));
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 30 }), async (steps) => {
      for (const [kind, which] of steps) await act(kind, which);
      expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
      // A counter of nothing is no row: a daemon that looks for work does not read those of long ago.
      expect(temp.raw.prepare('SELECT COUNT(*) FROM message_counts WHERE n < 1').pluck().get()).toBe(0);
    }),
    { numRuns: 20 },
  );
});

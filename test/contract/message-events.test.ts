import { beforeEach, describe, expect, test } from 'vitest';
import { LATE_AFTER_MS } from '../../src/core/late.js';
import { lastMessageEvents, listMessageEvents } from '../../src/services/message-events.js';
import type { Claim, Settlement } from '../../src/store/claim-types.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { addLane, NOON, newMessage, openTempStore, type TempStore } from '../support/temp-store.js';

const closing = useCleanup();
const HOUR = 3_600_000;
const acme = tenantScope('acme');
let temp: TempStore;
let lane: Awaited<ReturnType<typeof addLane>>['lane'];
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  ({ lane } = await addLane(temp.store, 'acme'));
});

const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
  temp.store.queue.enqueue(
    acme,
    messages.map((it) => newMessage(...it)),
    NOON,
  );
const promote = (now: number) => temp.store.claims.promoteDue(now, 99);
const historyOf = async (id: string) =>
  (await temp.store.messageEvents.list(acme, id, { limit: 99 })).map(({ type, at }) => [type, at - NOON]);
const fail = async (now: number, next: Settlement['next']) => {
  const { claims } = await temp.store.claims.claimDue(lane, { limit: 1, owner: 'o', now, leaseMs: 1000 });
  const { pk, claim } = claims[0] as Claim;
  await temp.store.claims.settle({ pk, claim, recipients: [], next }, now);
};

describe('a message that is late', () => {
  test('is told of once, three hours after it was due, with the last error', async () => {
    await enqueue(['m']);
    await fail(NOON, { kind: 'retry', dueAt: NOON + 10 * HOUR, error: '451 not now' });
    expect(await temp.store.claims.nextDueAt()).toBe(NOON + LATE_AFTER_MS);
    await promote(NOON + LATE_AFTER_MS - 1);
    expect(await historyOf('m')).toEqual([['deferred', 0]]);
    await promote(NOON + LATE_AFTER_MS);
    await promote(NOON + 2 * LATE_AFTER_MS);
    const [, late, ...others] = await temp.store.messageEvents.list(acme, 'm', { limit: 99 });
    expect(late).toMatchObject({
      type: 'late',
      at: NOON + LATE_AFTER_MS,
      data: { since_ts: NOON / 1000, error: '451 not now' },
    });
    expect(others).toEqual([]);
    expect(await temp.store.claims.nextDueAt()).toBe(NOON + 10 * HOUR);
  });

  test('is it also while it was never tried, or is suspended', async () => {
    await enqueue(['waits'], ['parked']);
    temp.raw.exec("UPDATE messages SET state = 'suspended' WHERE id = 'parked'");
    await promote(NOON + LATE_AFTER_MS + 5);
    for (const id of ['waits', 'parked']) expect(await historyOf(id)).toEqual([['late', LATE_AFTER_MS + 5]]);
  });

  test('counts from the time that its sender gave it', async () => {
    await enqueue(['m', { deferredAt: NOON + 5 * HOUR }]);
    await promote(NOON + 8 * HOUR - 1);
    expect(await historyOf('m')).toEqual([]);
    await promote(NOON + 8 * HOUR);
    const [late] = await temp.store.messageEvents.list(acme, 'm', { limit: 1 });
    expect(late?.data).toEqual({ since_ts: (NOON + 5 * HOUR) / 1000, error: null });
  });

  test('expires without having been late when it had less time than that', async () => {
    await enqueue(['short', { expiresAt: NOON + HOUR }], ['exact', { expiresAt: NOON + LATE_AFTER_MS }]);
    await promote(NOON + LATE_AFTER_MS);
    for (const id of ['short', 'exact']) expect(await historyOf(id)).toEqual([['error', LATE_AFTER_MS]]);
  });

  test('is not one that was sent, and one that is being sent is told of when it comes back', async () => {
    await enqueue(['sent'], ['sending']);
    await fail(NOON, { kind: 'final' });
    const { claims } = await temp.store.claims.claimDue(lane, {
      limit: 1,
      owner: 'o',
      now: NOON,
      leaseMs: 1000,
    });
    await promote(NOON + 4 * HOUR);
    expect(await historyOf('sent')).toEqual([['sent', 0]]);
    expect(await historyOf('sending')).toEqual([]);
    const { pk, claim } = claims[0] as Claim;
    const next = { kind: 'release', error: null } as const;
    await temp.store.claims.settle({ pk, claim, recipients: [], next }, NOON + 4 * HOUR);
    await promote(NOON + 4 * HOUR);
    expect(await historyOf('sending')).toEqual([['late', 4 * HOUR]]);
  });
});

describe('the history', () => {
  test('is read in order, page by page, and its end alone', async () => {
    await enqueue(['m']);
    for (const at of [0, 1, 2, 3]) {
      await promote(NOON + at);
      await fail(NOON + at, { kind: 'retry', dueAt: NOON + at + 1, error: `attempt ${at}` });
    }
    const first = await listMessageEvents(temp, 'acme', 'm', { limit: 3 });
    expect(first.items.map(({ data }) => data.error)).toEqual(['attempt 0', 'attempt 1', 'attempt 2']);
    const rest = { limit: 3, cursor: first.nextCursor as string };
    const second = await listMessageEvents(temp, 'acme', 'm', rest);
    expect(second).toMatchObject({ items: [{ data: { error: 'attempt 3' } }], nextCursor: undefined });
    expect((await lastMessageEvents(temp, 'acme', 'm', 2)).map(({ data }) => data.error)).toEqual([
      'attempt 2',
      'attempt 3',
    ]);
  });

  test('is one tenant’s, and goes with its message', async () => {
    await addLane(temp.store, 'globex');
    await enqueue(['m']);
    await fail(NOON, { kind: 'error', error: 'no' });
    expect(await temp.store.messageEvents.list(tenantScope('globex'), 'm', { limit: 9 })).toEqual([]);
    await expect(listMessageEvents(temp, 'globex', 'm', { limit: 9 })).rejects.toMatchObject({
      code: 'message_not_found',
    });
    temp.raw.exec("PRAGMA foreign_keys = ON; DELETE FROM messages WHERE id = 'm'");
    expect(temp.raw.prepare('SELECT COUNT(*) FROM message_events').pluck().get()).toBe(0);
  });
});

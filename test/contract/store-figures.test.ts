import { beforeEach, describe, expect, test } from 'vitest';
import { LANES_SERVED, OLDEST_READY, OLDEST_SENDING, OLDEST_WAITING } from '../../src/store/figures.js';
import { useCleanup } from '../support/cleanup.js';
import { addLane, by, NOON, newMessage, openTempStore, type TempStore } from '../support/temp-store.js';

const closing = useCleanup();
let temp: TempStore;
beforeEach(async () => {
  temp = closing(await openTempStore(), (opened) => opened.close());
});

/** How SQLite reads the tables that grow with the queue. */
const planOf = (sql: string): string[] => {
  const rows = temp.raw.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...(sql.includes('?') ? [0] : []));
  return (rows as Array<{ detail: string }>)
    .map(({ detail }) => detail)
    .filter((detail) => / messages?(_counts)?\b/.test(detail));
};

describe('the age of the queue', () => {
  test.each([
    [
      'ready',
      OLDEST_READY,
      /^SEARCH messages USING COVERING INDEX messages_ready \(account_pk=\? AND priority=\?\)$/,
    ],
    // These two indexes hold nothing but what is in flight, and lanes that have something ready.
    ['sending', OLDEST_SENDING, /^SCAN messages USING INDEX messages_sending$/],
    ['waiting', OLDEST_WAITING, /^SEARCH messages USING INDEX messages_waiting \(due_at<\?\)$/],
    ['served', LANES_SERVED, /^SCAN message_counts USING INDEX message_counts_ready$/],
  ])('is read from an index: %s', (_, sql, wanted) => {
    const plan = planOf(sql);
    expect(plan).toHaveLength(1);
    expect(plan[0]).toMatch(wanted);
  });

  test('is that of the oldest over all lanes, also of more than are read at once', async () => {
    const { scope } = await addLane(temp.store, 'acme');
    for (const i of Array.from({ length: 3 }, (_, n) => n))
      await temp.store.queue.enqueue(scope, [newMessage(`m${i}`, { priority: 2 })], NOON + i);
    // Written as SQLite itself would have it: accounts by the hundred would take their time.
    temp.raw.exec(`WITH RECURSIVE n(i) AS (VALUES (1000) UNION ALL SELECT i + 1 FROM n WHERE i < 2200)
      INSERT INTO messages (tenant_id, id, account_pk, account_id, state, priority, subject, envelope_from, created_at, due_at,
        expires_at, attention_at)
      SELECT 'acme', 'x' || i, i, 'x', 'ready', 1, '', '', 0, ${NOON} - i, ${NOON + 9e9}, ${NOON + 9e9} FROM n`);
    const oldest = await temp.store.figures.oldestDue(NOON + 10);
    expect([...oldest].sort()).toEqual([
      [1, NOON - 2200],
      [2, NOON],
    ]);
  });

  test('counts what is on its way, and leaves out what is not due or whose tenant is inactive', async () => {
    const { scope, lane } = await addLane(temp.store, 'acme');
    await temp.store.queue.enqueue(scope, [newMessage('taken')], NOON);
    await temp.store.queue.enqueue(
      scope,
      [newMessage('later', { priority: 0, deferredAt: NOON + 50 })],
      NOON,
    );
    await temp.store.claims.claimDue(lane, { limit: 1, owner: 'test', now: NOON + 1, leaseMs: 1000 });
    expect([...(await temp.store.figures.oldestDue(NOON + 49))]).toEqual([[2, NOON]]);
    expect((await temp.store.figures.oldestDue(NOON + 51)).get(0)).toBe(NOON + 50);
    const asleep = await addLane(temp.store, 'asleep', {}, { active: false });
    await temp.store.queue.enqueue(asleep.scope, [newMessage('m1', { priority: 3 })], NOON);
    expect((await temp.store.figures.oldestDue(NOON + 99)).has(3)).toBe(false);
  });
});

test('accounts that are gone have no name', async () => {
  const acme = await addLane(temp.store, 'acme');
  const globex = await addLane(temp.store, 'globex');
  const pks = [acme.lane.accountPk, globex.lane.accountPk, 999];
  expect([...(await temp.store.figures.accountNames(pks))]).toEqual([
    [pks[0], { tenantId: 'acme', accountId: 'smtp1' }],
    [pks[1], { tenantId: 'globex', accountId: 'smtp1' }],
  ]);
  await temp.store.tenants.delete(globex.scope, by(NOON));
  expect((await temp.store.figures.accountNames(pks)).has(globex.lane.accountPk)).toBe(false);
});

import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { explainOf } from '../../src/services/explain-message.js';
import { tenantScope } from '../../src/store/scope.js';
import type { Store } from '../../src/store/store.js';
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
import { claimsSeen, openVirtualWorld } from '../support/virtual-world.js';

const [MINUTE, HOUR] = [60_000, 3_600_000];
const acme = tenantScope('acme');
const explain = async (store: Store, id: string, now: number) =>
  (await explainOf({ store, now: () => now }, 'acme', id, 'active')).hold;

describe('over a store', () => {
  const closing = useCleanup();
  let temp: TempStore;
  let lane: Awaited<ReturnType<typeof addLane>>['lane'];
  beforeEach(async () => {
    temp = closing(await openTempStore(), (it) => it.close());
    ({ lane } = await addLane(temp.store, 'acme', { limitMinute: 2 }));
  });
  const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
    temp.store.queue.enqueue(
      acme,
      messages.map((it) => newMessage(...it)),
      NOON,
    );

  test('those before it are the ones that a claim would take first', async () => {
    await addLane(temp.store, 'globex');
    await temp.store.queue.enqueue(tenantScope('globex'), [newMessage('theirs', { priority: 0 })], NOON);
    await enqueue(
      ['low', { priority: 3 }],
      ['a'],
      ['b'],
      ['urgent', { priority: 0 }],
      ['later', { deferredAt: NOON + 1 }],
    );
    const behind = async (id: string) => (await explain(temp.store, id, NOON)).behind;
    expect([await behind('urgent'), await behind('a'), await behind('b'), await behind('low')]).toEqual([
      0, 1, 2, 3,
    ]);
    expect(await behind('later')).toBe(0);
    // Two may go at once, the next two a minute later: the fourth in line is the second of those.
    expect((await explain(temp.store, 'low', NOON)).until).toBe(NOON + MINUTE);
    await temp.store.claims.claimDue(lane, { limit: 1, owner: 'o', now: NOON + 5000, leaseMs: 1000 });
    expect(await explain(temp.store, 'low', NOON + 5000)).toMatchObject({
      behind: 2,
      until: NOON + 5000 + MINUTE,
    });
  });

  test('is found in indexes, whatever the size of the queue', () => {
    const plan = (sql: string): string[] =>
      (temp.raw.prepare(`EXPLAIN QUERY PLAN ${sql}`).all() as Array<{ detail: string }>).map(
        ({ detail }) => detail,
      );
    const ahead =
      "SELECT 1 FROM messages WHERE account_pk = 1 AND state = 'ready' AND (priority, due_at, pk) < (1, 2, 3)";
    expect(plan(ahead)).toEqual([
      expect.stringMatching(/SEARCH .* USING COVERING INDEX messages_ready \(account_pk=\? AND \(priority/),
    ]);
    const charges = "SELECT at FROM rate_charges WHERE scope = 'a:1' ORDER BY at DESC LIMIT 5 OFFSET 5";
    expect(plan(charges)).toEqual([
      expect.stringMatching(/SEARCH rate_charges USING PRIMARY KEY \(scope=\?\)/),
    ]);
  });

  test('only so many are counted', async () => {
    await enqueue(['last']);
    temp.raw.exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
      INSERT INTO messages (tenant_id, id, account_pk, account_id, state, priority, subject, envelope_from, created_at,
        due_at, expires_at, attention_at)
      SELECT 'acme', 'n' || i, account_pk, 'smtp1', 'ready', 1, '', '', created_at, due_at, expires_at, attention_at
        FROM n, messages WHERE id = 'last'`);
    const started = performance.now();
    const explanation = await explain(temp.store, 'last', NOON);
    expect(performance.now() - started).toBeLessThan(500);
    expect(explanation).toMatchObject({ gate: 'rate_limit', until: null, behind: 10_001 });
    // 1,000 others have to go first, two a minute.
    expect(explanation.reason).toContain(new Date(NOON + 500 * MINUTE).toISOString());
  });
});

describe('the time that is named', () => {
  const limit = (max: number) => fc.option(fc.integer({ min: 1, max }), { nil: null, freq: 3 });
  const aPlan = fc.record({
    limits: fc.record({ limitMinute: limit(5), limitHour: limit(20), limitDay: limit(60) }),
    tenantLimits: fc.record({ limitHourly: limit(15), limitDaily: limit(60) }),
    priorities: fc.array(fc.constantFrom<0 | 1 | 2 | 3>(0, 1, 2, 3), {
      minLength: 1,
      maxLength: 50,
      size: 'max',
    }),
    deferred: fc.option(
      fc.record({ by: fc.integer({ min: 1, max: 3 * HOUR }), priority: fc.constantFrom<0 | 2>(0, 2) }),
    ),
    asked: fc.array(fc.nat(2 * HOUR), { maxLength: 2 }),
  });
  type Plan = typeof aPlan extends fc.Arbitrary<infer It> ? It : never;

  /** Has what a plan says sent, and compares what was said of each message with when it went. */
  async function play(plan: Plan): Promise<void> {
    const server = { millis: 0, isDown: () => false, answer: () => 'take' as const, answered: () => {} };
    const world = await openVirtualWorld(() => server);
    try {
      const { store } = world;
      await store.tenants.put(acme, by(NOON), () => tenantChange(plan.tenantLimits));
      await store.accounts.put(acme, 'smtp1', by(NOON), () => accountChange({ ...plan.limits, tls: 'none' }));
      const expiresAt = NOON + 60 * 24 * HOUR;
      const ready = plan.priorities.map((priority, i) =>
        newMessage(`m${i}`, { priority, expiresAt, content: Buffer.from(`m${i}`) }),
      );
      const { deferred } = plan;
      const later =
        deferred === null
          ? []
          : [newMessage('d', { ...deferred, deferredAt: NOON + deferred.by, expiresAt })];
      await store.queue.enqueue(acme, [...ready, ...later], NOON);

      const said: Array<{ pk: number; at: number; until: number | null; gate: string }> = [];
      const ask = async () => {
        const at = Date.now();
        // One that comes later may overtake those in line: that is something in between, unlike for itself.
        for (const { id } of deferred === null ? ready : later) {
          const { message, hold: explanation } = await explainOf(
            { store, now: () => at },
            'acme',
            id,
            'active',
          );
          const { gate } = explanation;
          if (gate === 'final') continue;
          said.push({
            pk: message.pk,
            at,
            gate,
            until: gate === 'queue' || gate === 'none' ? at : explanation.until,
          });
        }
      };
      await ask();
      for (const at of plan.asked) world.at(NOON + at, ask);
      await world.dispatcher.start();
      const open = world.raw.prepare("SELECT 1 FROM messages WHERE state <> 'sent' LIMIT 1").pluck();
      await world.pass(() => open.get() === undefined, NOON + 50 * 24 * HOUR);
      const claimedAt = new Map(claimsSeen(world.raw).map(({ pk, at }) => [pk, at]));
      for (const { pk, at, until, gate } of said)
        expect(until, `${gate} at ${at - NOON}`).toBe(claimedAt.get(pk));
    } finally {
      await world.close();
    }
  }

  test('is the moment at which it goes', async () => {
    await fc.assert(fc.asyncProperty(aPlan, play), { numRuns: 25 });
  }, 120_000);
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MailProxyError } from '../../src/core/errors.js';
import type { NewMessage } from '../../src/core/types.js';
import { explainOf } from '../../src/services/explain-message.js';
import { tenantScope } from '../../src/store/scope.js';
import { accountChange, by, NOON, newMessage, tenantChange } from '../support/temp-store.js';
import type { Answer, VirtualServer } from '../support/virtual-servers.js';
import { type ClaimSeen, claimsSeen, openVirtualWorld, type VirtualWorld } from '../support/virtual-world.js';

// Everywhere else a real SMTP server answers. Here days of sending pass in milliseconds, so that the servers are played too:
// store, dispatcher, its timers and its decisions are the real ones, on a clock that only these tests move.

const [SECOND, MINUTE, HOUR, DAY] = [1000, 60_000, 3_600_000, 86_400_000];

const limitOf = (min: number, max: number) => fc.option(fc.integer({ min, max }), { nil: null, freq: 2 });
const accountLimits = fc.record({
  limitMinute: limitOf(1, 10),
  limitHour: limitOf(5, 60),
  limitDay: limitOf(40, 100),
});
const tenantLimits = fc.record({ limitHourly: limitOf(10, 60), limitDaily: limitOf(60, 200) });
const anAccount = fc.record({
  limits: accountLimits,
  limitBehavior: fc.constantFrom<'defer' | 'reject'>('defer', 'defer', 'defer', 'reject'),
  maxConnections: fc.integer({ min: 1, max: 4 }),
  millis: fc.constantFrom(0, 10, 200, 3000),
  down: fc.array(fc.record({ from: fc.nat(HOUR), length: fc.integer({ min: 1, max: 30 * MINUTE }) }), {
    maxLength: 2,
  }),
});
const aTenant = fc.record({
  limits: tenantLimits,
  onUncertain: fc.constantFrom<'retry' | 'hold'>('retry', 'retry', 'hold'),
  accounts: fc.array(anAccount, { minLength: 1, maxLength: 3 }),
});
const aMessage = fc.record({
  tenant: fc.nat(4),
  account: fc.nat(2),
  at: fc.oneof(fc.constantFrom(0, SECOND, MINUTE - 1, MINUTE, 30 * MINUTE), fc.nat(HOUR)),
  priority: fc.constantFrom<NewMessage['priority']>(0, 1, 2, 2, 3),
  deferBy: fc.option(fc.oneof(fc.constant(MINUTE), fc.nat(2 * HOUR)), { freq: 2 }),
  expiresIn: fc.oneof(
    { weight: 8, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 2 * HOUR }) },
  ),
  batchCode: fc.constantFrom(undefined, undefined, 'A', 'B'),
  answers: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Answer[]>([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.constantFrom<Answer>('later', 'never', 'cut', 'take'), { maxLength: 3 }),
    },
  ),
});
const batch = fc.constantFrom(undefined, 'A', 'B');
/** At any time, or while a slow server has what came in before. */
const actionTime = fc.oneof(
  { weight: 2, arbitrary: fc.nat(2 * HOUR) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(0, SECOND, MINUTE, 30 * MINUTE), fc.constantFrom(5, 150, 2000))
      .map(([at, later]) => at + later),
  },
);
const anAction = fc.record({
  at: actionTime,
  tenant: fc.nat(3),
  account: fc.nat(2),
  what: fc.oneof(
    fc.record({ do: fc.constant('suspend' as const), batchCode: batch }),
    fc.record({ do: fc.constant('activate' as const), batchCode: batch, keepBatches: fc.boolean() }),
    fc.record({ do: fc.constant('limit account' as const), limits: accountLimits }),
    fc.record({ do: fc.constant('limit tenant' as const), limits: tenantLimits }),
    fc.record({
      do: fc.constantFrom('run now' as const, 'wake' as const, 'stop' as const, 'crash' as const),
    }),
  ),
});
const aWorld = fc.record({
  tenants: fc.array(aTenant, { minLength: 1, maxLength: 4 }),
  messages: fc.array(aMessage, { maxLength: 200, size: 'max' }),
  actions: fc.array(anAction, { maxLength: 12, size: 'max' }),
  seed: fc.integer({ min: 1, max: 2 ** 31 - 2 }),
});
type Plan = typeof aWorld extends fc.Arbitrary<infer World> ? World : never;
type MessagePlan = Plan['messages'][number];

/** Nobody does anything to this tenant and its server is always up: whatever happens to others is not to touch it. */
const CALM = 'calm';

/** Plays a plan, and everything that is to be said about it afterwards. */
class Play {
  readonly plan: Plan;
  readonly tenants: Array<Plan['tenants'][number] & { id: string }>;
  readonly messages: Array<MessagePlan & { key: string; tenantId: string; accountId: string; dueAt: number }>;
  readonly attempts = new Map<string, number>();
  readonly taken = new Map<string, number>();
  /** What was handed over without an answer that anybody heard. */
  readonly unheard = new Set<string>();
  /** Claims that the server refused before the body: it was offered the message under them too. */
  readonly refused = new Set<string>();
  world!: VirtualWorld;
  #isRestarting = false;

  constructor(plan: Plan) {
    this.plan = plan;
    const calm: Plan['tenants'][number]['accounts'][number] = {
      limits: { limitMinute: null, limitHour: null, limitDay: null },
      limitBehavior: 'defer',
      maxConnections: 2,
      millis: 0,
      down: [],
    };
    this.tenants = [
      ...plan.tenants.map((tenant, i) => ({ ...tenant, id: `t${i}` })),
      { id: CALM, limits: { limitHourly: null, limitDaily: null }, onUncertain: 'retry', accounts: [calm] },
    ];
    this.messages = plan.messages.map((message, i) => {
      const tenant = this.tenants[message.tenant % this.tenants.length] as (typeof this.tenants)[number];
      const dueAt = NOON + message.at + (message.deferBy ?? 0);
      const accountId = `a${message.account % tenant.accounts.length}`;
      return { ...message, key: `${tenant.id}/m${i}`, tenantId: tenant.id, accountId, dueAt };
    });
  }

  serverAt(port: number): VirtualServer {
    const account = this.tenants[Math.floor(port / 10) - 1]?.accounts[port % 10];
    if (account === undefined) throw new Error(`There is no server at port ${port}.`);
    const { millis, down } = account;
    const planned = new Map(this.messages.map((message) => [message.key, message.answers]));
    return {
      millis,
      isDown: () =>
        down.some(({ from, length }) => Date.now() >= NOON + from && Date.now() < NOON + from + length),
      answer: (key) => {
        const attempt = this.attempts.get(key) ?? 0;
        this.attempts.set(key, attempt + 1);
        return planned.get(key)?.[attempt] ?? 'take';
      },
      answered: (key, answer, isHeard) => {
        if (answer === 'cut' || !isHeard) this.unheard.add(key);
        else if (answer === 'take') this.taken.set(key, (this.taken.get(key) ?? 0) + 1);
        if (answer === 'later' || answer === 'never') this.#noteRefused(key);
      },
    };
  }

  async run(whenQuiet: (world: VirtualWorld) => void, atEnd: (world: VirtualWorld) => void): Promise<void> {
    let state = this.plan.seed;
    const random = () => {
      state = (state * 16807) % 2147483647;
      return state / 2147483647;
    };
    const world = await openVirtualWorld((port) => this.serverAt(port), random);
    this.world = world;
    try {
      await this.#build();
      await world.dispatcher.start();
      this.#schedule();
      const open = world.raw
        .prepare("SELECT 1 FROM messages WHERE state NOT IN ('sent', 'error', 'uncertain') LIMIT 1")
        .pluck();
      const isOver = () => Date.now() > NOON + 3 * HOUR && open.get() === undefined;
      await world.pass(
        () => {
          if (world.dispatcher.active) whenQuiet(world);
          return isOver();
        },
        NOON + 40 * DAY,
      );
      atEnd(world);
    } finally {
      await world.close();
    }
  }

  #noteRefused(key: string): void {
    const [tenantId, id] = key.split('/');
    const row = this.world.raw
      .prepare("SELECT pk || ':' || claim FROM messages WHERE tenant_id = ? AND id = ? AND state = 'sending'")
      .pluck()
      .get(tenantId, id);
    if (row !== undefined) this.refused.add(row as string);
  }

  async #build(): Promise<void> {
    const { store } = this.world;
    for (const [t, { id, limits, onUncertain, accounts }] of this.tenants.entries()) {
      await store.tenants.put(tenantScope(id), by(NOON), () => tenantChange({ ...limits, onUncertain }));
      for (const [a, { limits, limitBehavior, maxConnections }] of accounts.entries()) {
        const change = accountChange({
          ...limits,
          limitBehavior,
          maxConnections,
          tls: 'none',
          port: 10 * (t + 1) + a,
        });
        await store.accounts.put(tenantScope(id), `a${a}`, by(NOON), () => change);
      }
    }
  }

  #schedule(): void {
    const { world } = this;
    const times = new Map<number, typeof this.messages>();
    for (const message of this.messages) times.set(message.at, [...(times.get(message.at) ?? []), message]);
    for (const [at, messages] of times) world.at(NOON + at, () => this.#enqueue(messages));
    for (const action of this.plan.actions) world.at(NOON + action.at, () => this.#act(action));
    world.at(NOON + 3 * HOUR, async () => {
      for (const { id } of this.tenants)
        await world.store.suspensions.activate(tenantScope(id), { keepBatches: false }, by(Date.now()));
      world.dispatcher.wake();
    });
  }

  /** All at once, as many clients do. */
  async #enqueue(messages: typeof this.messages): Promise<void> {
    const now = Date.now();
    await Promise.all(
      messages.map(({ key, tenantId, accountId, deferBy, expiresIn, priority, batchCode }) =>
        this.world.store.queue.enqueue(
          tenantScope(tenantId),
          [
            newMessage(key.slice(tenantId.length + 1), {
              accountId,
              priority,
              batchCode,
              content: Buffer.from(key),
              deferredAt: deferBy === null ? undefined : now + deferBy,
              expiresAt: now + (expiresIn ?? 60 * DAY),
            }),
          ],
          now,
        ),
      ),
    );
    this.world.dispatcher.wake();
  }

  async #act({ tenant, account, what }: Plan['actions'][number]): Promise<void> {
    const { world } = this;
    const { store } = world;
    const index = tenant % this.plan.tenants.length;
    const { id, accounts } = this.tenants[index] as (typeof this.tenants)[number];
    const scope = tenantScope(id);
    const change = by(Date.now());
    switch (what.do) {
      case 'suspend':
        await store.suspensions.suspend(scope, what.batchCode, change);
        break;
      case 'activate': {
        const { batchCode, keepBatches } = what;
        await store.suspensions
          .activate(scope, batchCode === undefined ? { keepBatches } : { batchCode }, change)
          .catch((error: unknown) => {
            if (!(error instanceof MailProxyError) || error.code !== 'tenant_suspended') throw error;
          });
        break;
      }
      case 'limit account':
        await store.accounts.put(scope, `a${account % accounts.length}`, change, (current) => ({
          ...(current as NonNullable<typeof current>),
          ...what.limits,
        }));
        break;
      case 'limit tenant':
        await store.tenants.put(scope, change, () =>
          tenantChange({ ...what.limits, onUncertain: this.tenants[index]?.onUncertain ?? 'retry' }),
        );
        break;
      case 'run now':
        world.dispatcher.runNow(account === 0 ? undefined : id);
        return;
      case 'stop':
      case 'crash':
        if (this.#isRestarting) return;
        this.#isRestarting = true;
        await world.restart(what.do);
        this.#isRestarting = false;
        return;
      case 'wake':
    }
    world.dispatcher.wake();
  }
}

/** At a quiet moment a lane that could go on has gone on, and nothing that is due waits. */
function expectNothingLeftUndone({ raw, inUse }: VirtualWorld): void {
  const now = Date.now();
  const isFull = [
    ['a', 'pk', 'limit_minute', MINUTE],
    ['a', 'pk', 'limit_hour', HOUR],
    ['a', 'pk', 'limit_day', DAY],
    ['t', 'id', 'limit_hourly', HOUR],
    ['t', 'id', 'limit_daily', DAY],
  ].map(
    ([of, key, limit, window]) =>
      `COALESCE(${of}.${limit} <= (SELECT COUNT(*) FROM rate_charges AS c
         WHERE c.scope = '${of}:' || ${of}.${key} AND c.at > @now - ${window}), 0)`,
  );
  const left = raw
    .prepare(
      `SELECT m.pk, m.state, m.due_at - @now AS due, m.expires_at <= @now AS expired, a.port,
         CASE WHEN l.failures > 0 THEN 1 ELSE a.max_connections END AS room
       FROM messages AS m JOIN accounts AS a ON a.pk = m.account_pk JOIN tenants AS t ON t.id = m.tenant_id
         LEFT JOIN lane_states AS l ON l.account_pk = a.pk
       WHERE m.state IN ('ready', 'waiting', 'suspended')
         AND (m.expires_at <= @now OR (m.due_at <= @now AND COALESCE(l.open_until, 0) <= @now
           AND NOT EXISTS (SELECT 1 FROM suspensions AS s WHERE s.tenant_id = m.tenant_id AND s.released_at IS NULL
             AND s.batch_code IN ('', m.batch_code))
           AND NOT (a.limit_behavior = 'defer' AND (${isFull.join(' OR ')}))))`,
    )
    .all({ now }) as Array<{ expired: 0 | 1; port: number; room: number }>;
  expect(left.filter(({ expired, port, room }) => expired === 1 || inUse(port) < room)).toEqual([]);
}

/** How often a window was used up to and including each claim that was offered to a server. */
function expectLimitsHeld(claims: readonly ClaimSeen[], refused: ReadonlySet<string>): void {
  // A message that is taken back in the very moment in which a server refuses it was not offered either.
  const offered = claims.filter(
    ({ pk, claim, marked, given_back }) =>
      marked === 1 || (given_back === 0 && refused.has(`${pk}:${claim}`)),
  );
  const scopes = [
    {
      scope: (c: ClaimSeen) => `a:${c.account_pk}`,
      windows: ['limit_minute', 'limit_hour', 'limit_day'] as const,
    },
    { scope: (c: ClaimSeen) => `t:${c.tenant_id}`, windows: ['limit_hourly', 'limit_daily'] as const },
  ];
  const millis = {
    limit_minute: MINUTE,
    limit_hour: HOUR,
    limit_day: DAY,
    limit_hourly: HOUR,
    limit_daily: DAY,
  };
  for (const { scope, windows } of scopes) {
    const before = new Map<string, ClaimSeen[]>();
    for (const claim of offered) {
      // What was sent while the scope had no limit at all was not counted, and is not held against a later one.
      if (windows.every((name) => !claim[name])) continue;
      const counted = before.get(scope(claim)) ?? [];
      counted.push(claim);
      before.set(scope(claim), counted);
      for (const name of windows) {
        const limit = claim[name];
        if (!limit) continue;
        const inside = counted.filter(({ at }) => at > claim.at - millis[name] && at <= claim.at).length;
        expect(inside, `${name} of ${scope(claim)} at ${claim.at - NOON}`).toBeLessThanOrEqual(limit);
      }
    }
  }
}

function expectInOrder(claims: readonly ClaimSeen[]): void {
  expect(claims.filter(({ overtaken }) => overtaken > 0)).toEqual([]);
}

function expectNothingStoppedOrExpired(claims: readonly ClaimSeen[]): void {
  expect(
    claims.filter(
      ({ stopped, marked_stopped, at, due_at, expires_at }) =>
        stopped === 1 || marked_stopped === 1 || at < due_at || at >= expires_at,
    ),
  ).toEqual([]);
}

const isLimited = (claim: ClaimSeen): boolean =>
  [claim.limit_minute, claim.limit_hour, claim.limit_day, claim.limit_hourly, claim.limit_daily].some(
    Boolean,
  );

/**
 * No more than a lane's connections, and as many again ahead where nothing counts the claims; after trouble one probes. That a
 * lane is limited now it learns from its next claim.
 */
function expectRoomKept(claims: readonly ClaimSeen[]): void {
  const limitedSince = new Map<number, number>();
  for (const claim of claims) {
    const { account_pk, at, failures, max_connections } = claim;
    if (!isLimited(claim)) limitedSince.delete(account_pk);
    else if (!limitedSince.has(account_pk)) limitedSince.set(account_pk, at);
    const isKnown = (limitedSince.get(account_pk) ?? at) < at;
    const room = failures > 0 ? 1 : isKnown ? max_connections : 2 * max_connections;
    expect(claim.in_lane, JSON.stringify(claim)).toBeLessThanOrEqual(room);
  }
}

function expectCalmLaneOnTime(claims: readonly ClaimSeen[], downtimes: VirtualWorld['downtimes']): void {
  const late = claims.filter(
    ({ tenant_id, at, due_at }) =>
      tenant_id === CALM &&
      at !== due_at &&
      !downtimes.some(([from, until]) => due_at >= from && due_at <= until && at === until),
  );
  expect(late).toEqual([]);
}

interface Ended {
  key: string;
  state: string;
  error: string | null;
}

function expectEnds(play: Play, ended: readonly Ended[]): void {
  expect(ended).toHaveLength(play.messages.length);
  const planned = new Map(play.messages.map((message) => [message.key, message]));
  for (const { key, state, error } of ended) {
    const taken = play.taken.get(key) ?? 0;
    const { answers, expiresIn, tenantId, accountId } = planned.get(key) as Play['messages'][number];
    const tenant = play.tenants.find(({ id }) => id === tenantId);
    const { limitBehavior } = tenant?.accounts[Number(accountId.slice(1))] ?? {};
    expect(taken, key).toBe(state === 'sent' ? 1 : 0);
    // Only what nobody knows of may go out a second time, and not of a tenant that wants to hold it.
    const isHeld = tenant?.onUncertain === 'hold' && play.unheard.has(key);
    expect(state === 'uncertain', key).toBe(isHeld);
    if (state !== 'error') continue;
    const reason = error ?? '';
    if (/rate limit/.test(reason)) expect(limitBehavior).toBe('reject');
    else if (/expired|No time was left/.test(reason)) expect(expiresIn, `${key}: ${reason}`).not.toBeNull();
    else expect(answers, `${key}: ${reason}`).toContain('never');
  }
}

describe('in any world', () => {
  test('order, limits, suspensions and times hold, nothing is sent twice, and nothing is lost', async () => {
    await fc.assert(
      fc.asyncProperty(aWorld, async (plan) => {
        const play = new Play(plan);
        let moments = 0;
        await play.run(
          (world) => {
            if (moments++ % 5 === 0) expectNothingLeftUndone(world);
          },
          ({ raw, downtimes }) => {
            const claims = claimsSeen(raw);
            expectInOrder(claims);
            expectNothingStoppedOrExpired(claims);
            expectRoomKept(claims);
            expectLimitsHeld(claims, play.refused);
            expectCalmLaneOnTime(claims, downtimes);
            expectEnds(
              play,
              raw
                .prepare("SELECT tenant_id || '/' || id AS key, state, error FROM messages")
                .all() as Ended[],
            );
          },
        );
      }),
      { numRuns: 25, seed: 20300101, endOnFailure: true },
    );
  }, 60_000);
});

/** Adds a tenant with equal accounts, all at the server of one port, and gives the ids of the accounts. */
async function addTenant(
  { store }: VirtualWorld,
  id: string,
  { lanes, port, ...account }: { lanes: number; port: number } & Partial<Parameters<typeof accountChange>[0]>,
): Promise<string[]> {
  const scope = tenantScope(id);
  await store.tenants.put(scope, by(NOON), () => tenantChange());
  const ids = Array.from({ length: lanes }, (_, i) => `a${i}`);
  await Promise.all(
    ids.map((accountId) =>
      store.accounts.put(scope, accountId, by(NOON), () => accountChange({ ...account, tls: 'none', port })),
    ),
  );
  return ids;
}

const enqueue = async (
  { store }: VirtualWorld,
  tenantId: string,
  prefix: string,
  accountIds: readonly string[],
) => {
  const messages = accountIds.map((accountId, i) => newMessage(`${prefix}${i}`, { accountId }));
  await store.queue.enqueue(tenantScope(tenantId), messages, Date.now());
};

const always = (millis: number, isDown = false): VirtualServer => ({
  millis,
  isDown: () => isDown,
  answer: () => 'take',
  answered: () => undefined,
});

describe('when room for claims is scarce', () => {
  const ROOM = 1024;
  const CONNECTIONS = 4;
  const heldBy = ({ raw }: VirtualWorld): Map<string, number> =>
    new Map(
      raw
        .prepare("SELECT tenant_id, COUNT(*) FROM messages WHERE state = 'sending' GROUP BY tenant_id")
        .raw()
        .all() as Array<[string, number]>,
    );

  test.each([
    { hogs: 1, millis: 60_000 },
    { hogs: 3, millis: 2000 },
  ])(
    '$hogs tenant(s) with a hundred lanes and more share it, and leave room to others at any moment',
    async ({ hogs, millis }) => {
      const world = await openVirtualWorld((port) => always(port === 1 ? 0 : millis * port));
      try {
        const { raw, store } = world;
        const tenants = Array.from({ length: hogs }, (_, i) => `hog${i}`);
        for (const [i, id] of tenants.entries()) {
          const accounts = await addTenant(world, id, {
            lanes: 150,
            port: 2 + i,
            maxConnections: CONNECTIONS,
          });
          await enqueue(world, id, 'm', Array.from({ length: 5 }, () => accounts).flat());
        }
        await addTenant(world, 'small', { lanes: 1, port: 1 });
        for (let i = 0; i < 20; i++) {
          world.at(NOON + i * 777, async () => {
            await enqueue(world, 'small', `m${i}-`, ['a0', 'a0', 'a0']);
            world.dispatcher.wake();
          });
        }
        await world.dispatcher.start();
        await world.idle();
        const first = tenants.map((id) => heldBy(world).get(id) ?? 0);
        expect(Math.max(...first) - Math.min(...first)).toBeLessThanOrEqual(1);
        const waiting = raw.prepare(
          `SELECT DISTINCT tenant_id FROM messages AS m WHERE state = 'ready' AND ${CONNECTIONS} >
           (SELECT COUNT(*) FROM messages AS o WHERE o.state = 'sending' AND o.account_pk = m.account_pk)`,
        );
        const unsent = raw.prepare("SELECT 1 FROM messages WHERE state NOT IN ('sent') LIMIT 1");
        let moments = 0;
        await world.pass(() => {
          if (moments++ % 10 > 0) return false;
          const held = heldBy(world);
          const free = ROOM - [...held.values()].reduce((sum, n) => sum + n, 0);
          // Each can take half of what the others left at the most.
          expect(free).toBeGreaterThanOrEqual(Math.floor(ROOM / 2 ** hogs) - hogs);
          // Who has to wait has as much as is left for everybody else.
          for (const tenant of waiting.pluck().all() as string[])
            expect(held.get(tenant) ?? 0).toBeGreaterThanOrEqual(free);
          return unsent.get() === undefined;
        }, NOON + DAY);
        const ofSmall = claimsSeen(raw).filter(({ tenant_id }) => tenant_id === 'small');
        expect(ofSmall).toHaveLength(60);
        expect(ofSmall.filter(({ at, due_at }) => at !== due_at)).toEqual([]);
        expect((await store.claims.lanesReady()).length).toBe(0);
      } finally {
        await world.close();
      }
    },
  );
});

describe('lanes that wait', () => {
  /** What is asked of the store when nothing can be done, and then when one message of another lane arrives. */
  async function callsWith(lanes: number): Promise<{ idle: string[]; arrival: string[] }> {
    const world = await openVirtualWorld((port) => always(0, port === 2));
    try {
      const limited = await addTenant(world, 'limited', { lanes, port: 1, limitDay: 1 });
      const down = await addTenant(world, 'down', { lanes, port: 2 });
      await addTenant(world, 'other', { lanes: 1, port: 1 });
      await enqueue(world, 'limited', 'm', [...limited, ...limited]);
      await enqueue(world, 'down', 'm', [...down, ...down]);
      await enqueue(world, 'other', 'first', ['a0']);
      await world.dispatcher.start();
      await world.idle();
      const callsOf = async (what: () => Promise<void>): Promise<string[]> => {
        world.calls.length = 0;
        await what();
        world.dispatcher.wake();
        await world.idle();
        return [...world.calls];
      };
      const waiting = world.raw.prepare("SELECT COUNT(*) FROM messages WHERE state = 'ready'").pluck().get();
      expect(waiting).toBe(3 * lanes);
      return {
        idle: await callsOf(async () => undefined),
        arrival: await callsOf(() => enqueue(world, 'other', 'second', ['a0'])),
      };
    } finally {
      await world.close();
    }
  }

  test('limited or down, cost nothing: two hundred of each no more than one', async () => {
    const [one, many] = [await callsWith(1), await callsWith(200)];
    expect(many).toEqual(one);
    expect(one.idle.filter((call) => /claimDue|accounts|settle/.test(call))).toEqual([]);
    expect(one.idle.length).toBeLessThan(6);
  });
});

test('a limited lane with a connection to spare goes on at the moment its limit lets it, not when another ends', async () => {
  const world = await openVirtualWorld(() => always(10 * SECOND));
  try {
    await addTenant(world, 'acme', { lanes: 1, port: 1, maxConnections: 2, limitMinute: 2 });
    await enqueue(world, 'acme', 'first', ['a0']);
    world.at(NOON + SECOND, async () => {
      await enqueue(world, 'acme', 'm', ['a0', 'a0', 'a0', 'a0']);
      world.dispatcher.wake();
    });
    const explained: number[] = [];
    world.at(NOON + 2 * SECOND, async () => {
      const ids = world.raw.prepare(
        "SELECT id FROM messages WHERE state = 'ready' ORDER BY priority, due_at, pk",
      );
      for (const id of ids.pluck().all() as string[]) {
        const { hold } = await explainOf({ store: world.store, now: Date.now }, 'acme', id, 'active');
        explained.push((hold.until ?? Number.NaN) - NOON);
      }
    });
    await world.dispatcher.start();
    const sent = world.raw.prepare("SELECT COUNT(*) FROM messages WHERE state = 'sent'").pluck();
    await world.pass(() => sent.get() === 5, NOON + HOUR);
    const times = claimsSeen(world.raw).map(({ at }) => at - NOON);
    expect(times).toEqual([0, SECOND, MINUTE, MINUTE + SECOND, 2 * MINUTE]);
    expect(explained, 'what explain said of those that waited').toEqual(times.slice(2));
  } finally {
    await world.close();
  }
});

test.each([
  { how: 'before', at: 300, held: ['sent', 2], retried: ['sent', 2] },
  { how: 'after', at: 700, held: ['uncertain', 1], retried: ['sent', 2] },
])(
  'a crash $how the mark leaves a message to be sent, and only where that is wanted one to be sent again',
  async ({ at, held, retried }) => {
    const world = await openVirtualWorld(() => always(SECOND));
    try {
      for (const onUncertain of ['hold', 'retry'] as const) {
        await addTenant(world, onUncertain, { lanes: 1, port: 1 });
        await world.store.tenants.put(tenantScope(onUncertain), by(NOON), () =>
          tenantChange({ onUncertain }),
        );
        await enqueue(world, onUncertain, 'm', ['a0']);
      }
      await world.dispatcher.start();
      world.at(NOON + at, () => world.restart('crash'));
      const unsent = world.raw.prepare("SELECT 1 FROM messages WHERE state NOT IN ('sent', 'uncertain')");
      await world.pass(() => Date.now() > NOON + at && unsent.get() === undefined, NOON + MINUTE);
      const ends = world.raw.prepare('SELECT state, claim FROM messages ORDER BY tenant_id').raw().all();
      expect(ends).toEqual([held, retried]);
    } finally {
      await world.close();
    }
  },
);

test('what arrives all at once for an idle lane is claimed with the commit no more than once', async () => {
  const world = await openVirtualWorld(() => always(SECOND));
  try {
    await addTenant(world, 'acme', { lanes: 1, port: 1, maxConnections: 1 });
    await enqueue(world, 'acme', 'first', ['a0']);
    await world.dispatcher.start();
    const sent = world.raw.prepare("SELECT COUNT(*) FROM messages WHERE state = 'sent'").pluck();
    await world.pass(() => sent.get() === 1, NOON + MINUTE);
    await Promise.all(Array.from({ length: 20 }, (_, i) => enqueue(world, 'acme', `n${i}-`, ['a0'])));
    await world.idle();
    expect(claimsSeen(world.raw)).toHaveLength(2);
    world.dispatcher.wake();
    await world.pass(() => sent.get() === 21, NOON + MINUTE);
    expectRoomKept(claimsSeen(world.raw));
  } finally {
    await world.close();
  }
});

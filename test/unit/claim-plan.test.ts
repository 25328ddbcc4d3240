import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type LaneWish, planClaims } from '../../src/core/claim-plan.js';

/** What was wanted and given, by tenant. */
interface TenantSum {
  held: number;
  wanted: number;
  given: number;
}

const lanesOf = (...wants: Array<[tenantId: string, want: number]>): LaneWish<string>[] =>
  wants.map(([tenantId, want], i) => ({ lane: `${tenantId}${i}`, tenantId, want }));

const given = (
  wishes: LaneWish<string>[],
  free: number,
  { held = {}, turn = 0 }: { held?: Record<string, number>; turn?: number } = {},
): Record<string, number> =>
  Object.fromEntries(
    planClaims(wishes, { free, inFlight: (tenantId) => held[tenantId] ?? 0, turn }).map(({ lane, limit }) => [
      lane,
      limit,
    ]),
  );

describe('the plan of claims', () => {
  test('gives everybody all while there is room', () => {
    expect(given(lanesOf(['a', 5], ['a', 1], ['b', 2]), 100)).toEqual({ a0: 5, a1: 1, b2: 2 });
  });

  test('names no lane that wants nothing or gets nothing', () => {
    expect(given(lanesOf(['a', 0], ['b', 1]), 10)).toEqual({ b1: 1 });
    expect(given(lanesOf(['a', 1]), 0)).toEqual({});
    expect(given([], 10)).toEqual({});
  });

  test('a tenant with a hundred lanes gets no more of scarce room than one with a single message', () => {
    const many = Array.from({ length: 100 }, (): [string, number] => ['big', 10]);
    const shares = given(lanesOf(['small', 1], ...many), 4);
    expect(shares.small0).toBe(1);
    expect(Object.values(shares).reduce((sum, n) => sum + n, 0)).toBeLessThanOrEqual(3);
  });

  test('one tenant alone leaves half of the room to those that may come', () => {
    expect(given(lanesOf(['a', 5000]), 1024)).toEqual({ a0: 512 });
    expect(given(lanesOf(['a', 5000], ['b', 3]), 512, { held: { a: 512 } })).toEqual({ b1: 3 });
  });

  test('shares what a tenant gets between its lanes', () => {
    expect(given(lanesOf(['a', 50], ['a', 50], ['a', 1]), 41)).toEqual({ a0: 10, a1: 10, a2: 1 });
  });
});

const worlds = fc.record({
  tenants: fc.array(
    fc.record({
      held: fc.integer({ min: 0, max: 40 }),
      wants: fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 4 }),
    }),
    { maxLength: 8 },
  ),
  free: fc.integer({ min: 0, max: 120 }),
  turn: fc.integer({ min: 0, max: 1000 }),
});

/** Makes a plan and sums it up. */
function plan({ tenants, free, turn }: typeof worlds extends fc.Arbitrary<infer World> ? World : never) {
  const wishes = tenants.flatMap(({ wants }, t) =>
    wants.map((want, i) => ({ lane: { t, i }, tenantId: String(t), want })),
  );
  const inFlight = (tenantId: string) => tenants[Number(tenantId)]?.held ?? 0;
  const shares = planClaims(wishes, { free, inFlight, turn });
  const sums = tenants.map(
    ({ held, wants }, t): TenantSum => ({
      held,
      wanted: wants.reduce((sum, n) => sum + n, 0),
      given: shares.reduce((sum, { lane, limit }) => sum + (lane.t === t ? limit : 0), 0),
    }),
  );
  const left = free - sums.reduce((sum, tenant) => sum + tenant.given, 0);
  return { shares, sums, left };
}

describe('whatever is wanted', () => {
  test('no more is given than is free, and to no lane more than it wants', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { shares, left } = plan(world);
        expect(left).toBeGreaterThanOrEqual(0);
        for (const { lane, limit } of shares) {
          expect(limit).toBeGreaterThan(0);
          expect(limit).toBeLessThanOrEqual(world.tenants[lane.t]?.wants[lane.i] ?? 0);
        }
        expect(new Set(shares.map(({ lane }) => `${lane.t}:${lane.i}`)).size).toBe(shares.length);
      }),
    );
  });

  test('a tenant takes its last message while it holds fewer than are free', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        for (const { held, given } of plan(world).sums) {
          // Others may have taken some of what was free before, never given any back: so this is the least that holds.
          if (given > 0) expect(held + given - 1).toBeLessThan(world.free - (given - 1));
        }
      }),
    );
  });

  test('nothing is left over while somebody wants it who may have it', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { sums, left } = plan(world);
        for (const { held, wanted, given } of sums) {
          if (given < wanted) expect(held + given).toBeGreaterThanOrEqual(left);
        }
      }),
    );
  });

  test('a tenant that goes without gets at most one less than any other that held as many', () => {
    fc.assert(
      fc.property(worlds, fc.integer({ min: 0, max: 40 }), (world, held) => {
        const tenants = world.tenants.map(({ wants }) => ({ held, wants }));
        const { sums } = plan({ ...world, tenants });
        const most = Math.max(0, ...sums.map(({ given }) => given));
        for (const { wanted, given } of sums) if (given < wanted) expect(most - given).toBeLessThanOrEqual(1);
      }),
    );
  });

  test('lanes of one tenant that go without get at most one less than its others', () => {
    fc.assert(
      fc.property(worlds, (world) => {
        const { shares } = plan(world);
        for (const [t, { wants }] of world.tenants.entries()) {
          const limits = wants.map(
            (_, i) => shares.find(({ lane }) => lane.t === t && lane.i === i)?.limit ?? 0,
          );
          for (const [i, want] of wants.entries()) {
            const limit = limits[i] ?? 0;
            if (limit < want) expect(Math.max(...limits) - limit).toBeLessThanOrEqual(1);
          }
        }
      }),
    );
  });
});

describe('from plan to plan', () => {
  test('room for one goes round: each tenant in as many plans as there are tenants', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.nat(1000), (n, first) => {
        const wishes = lanesOf(...Array.from({ length: n }, (_, t): [string, number] => [`t${t}-`, 9]));
        const served = Array.from({ length: n }, (_, i) =>
          Object.keys(given(wishes, 1, { turn: first + i })),
        );
        expect(new Set(served.flat()).size).toBe(n);
      }),
    );
  });

  test('and then round the lanes of each: none has to wait for ever, however many there are', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 8 }),
        fc.nat(1000),
        (tenants, lanes, free, first) => {
          const wishes = lanesOf(
            ...Array.from({ length: tenants * lanes }, (_, i): [string, number] => [`t${i % tenants}-`, 9]),
          );
          const served = new Set<string>();
          // One round more than there are pairs: the first may have begun in the middle.
          for (let i = 0; i < tenants * (lanes + 1); i++)
            for (const lane of Object.keys(given(wishes, free, { turn: first + i }))) served.add(lane);
          expect(served.size).toBe(tenants * lanes);
        },
      ),
    );
  });
});

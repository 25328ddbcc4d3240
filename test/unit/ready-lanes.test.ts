import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReadyLanes } from '../../src/delivery/ready-lanes.js';

const key = (accountPk: number) => ({ accountPk, tenantId: `t${accountPk % 2}` });
const awake = (lanes: ReadyLanes, now: number): number[] =>
  [...lanes.awake(now)].map(({ accountPk }) => accountPk).sort();

describe('lanes that have messages ready', () => {
  test('rest until their time, and not a millisecond longer', () => {
    const lanes = new ReadyLanes();
    lanes.replace([key(1), key(2)]);
    lanes.rest(key(1), 1000);
    expect(awake(lanes, 999)).toEqual([2]);
    expect(lanes.nextAt).toBe(1000);
    expect(awake(lanes, 1000)).toEqual([1, 2]);
    expect(lanes.nextAt).toBeUndefined();
  });

  test('go on resting when the store names them again, and are forgotten when it does not', () => {
    const lanes = new ReadyLanes();
    lanes.replace([key(1), key(2)]);
    lanes.rest(key(1), 1000);
    lanes.replace([key(1), key(3)]);
    expect(awake(lanes, 0)).toEqual([3]);
    lanes.replace([key(3)]);
    expect(awake(lanes, 1000)).toEqual([3]);
    expect(lanes.nextAt).toBeUndefined();
  });

  test('are roused all together, or those of one tenant', () => {
    const lanes = new ReadyLanes();
    for (const pk of [1, 2, 3]) lanes.rest(key(pk), 1000);
    lanes.rouse('t1');
    expect(awake(lanes, 0)).toEqual([1, 3]);
    lanes.rouse();
    expect(awake(lanes, 0)).toEqual([1, 2, 3]);
  });
});

const step = fc.oneof(
  fc.record({ do: fc.constant('replace' as const), pks: fc.uniqueArray(fc.nat(5)) }),
  fc.record({ do: fc.constant('empty' as const), pk: fc.nat(5) }),
  fc.record({ do: fc.constant('rest' as const), pk: fc.nat(5), wait: fc.integer({ min: 1, max: 20 }) }),
  fc.record({ do: fc.constant('rouse' as const), tenantId: fc.constantFrom(undefined, 't0', 't1') }),
  fc.record({ do: fc.constant('pass' as const), millis: fc.nat(10) }),
);

test('whatever happens, exactly the ready ones that do not rest are awake, and nobody oversleeps', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const lanes = new ReadyLanes();
      const model = new Map<number, number>();
      let now = 0;
      for (const next of steps) {
        if (next.do === 'replace') {
          lanes.replace(next.pks.map(key));
          for (const pk of [...model.keys()]) if (!next.pks.includes(pk)) model.delete(pk);
          for (const pk of next.pks) if (!model.has(pk)) model.set(pk, 0);
        } else if (next.do === 'empty') {
          lanes.empty(next.pk);
          // What rests was not looked at: that it is empty is said only of one that is awake.
          if (model.get(next.pk) === 0) model.delete(next.pk);
        } else if (next.do === 'rest') {
          lanes.rest(key(next.pk), now + next.wait);
          model.set(next.pk, now + next.wait);
        } else if (next.do === 'rouse') {
          lanes.rouse(next.tenantId);
          for (const pk of model.keys())
            if (next.tenantId === undefined || key(pk).tenantId === next.tenantId) model.set(pk, 0);
        } else now += next.millis;
        const seen = awake(lanes, now);
        for (const [pk, until] of model) if (until <= now) model.set(pk, 0);
        const resting = [...model.values()].filter((until) => until > 0);
        expect(seen).toEqual([...model].flatMap(([pk, until]) => (until === 0 ? [pk] : [])).sort());
        if (resting.length === 0) expect(lanes.nextAt).toBeUndefined();
        else {
          expect(lanes.nextAt).toBeGreaterThan(now);
          expect(lanes.nextAt).toBeLessThanOrEqual(Math.min(...resting));
        }
      }
    }),
  );
});

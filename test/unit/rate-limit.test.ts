import fc from 'fast-check';
import { expect, test } from 'vitest';
import { allowance, type RateWindow, rateWindows } from '../../src/core/rate-limit.js';

function allowedBy(windows: readonly RateWindow[], charges: readonly number[], now: number) {
  const newestFirst = [...charges].sort((a, b) => b - a);
  return allowance(
    windows,
    now,
    (n) => newestFirst[n - 1],
    (after) => charges.filter((at) => at > after).length,
  );
}

const windowsOf = fc.array(
  fc.record({ limit: fc.integer({ min: 1, max: 6 }), windowMs: fc.integer({ min: 1, max: 50 }) }),
  { minLength: 1, maxLength: 3 },
);

test('no sliding window is ever exceeded, wherever it is laid', () => {
  const gaps = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 });
  fc.assert(
    fc.property(windowsOf, gaps, (windows, steps) => {
      const charges: number[] = [];
      let now = 1000;
      for (const step of steps) {
        now += step;
        const { allowed } = allowedBy(windows, charges, now);
        for (let i = 0; i < Math.min(allowed, 3); i++) charges.push(now);
      }
      for (const { limit, windowMs } of windows) {
        for (const end of charges) {
          const inside = charges.filter((at) => at > end - windowMs && at <= end);
          expect(inside.length).toBeLessThanOrEqual(limit);
        }
      }
    }),
  );
});

test('the moment that is named is the first at which one more is allowed, not a millisecond later', () => {
  const past = fc.array(fc.integer({ min: 900, max: 1000 }), { maxLength: 20 });
  fc.assert(
    fc.property(windowsOf, past, (windows, charges) => {
      const { allowed, nextAt } = allowedBy(windows, charges, 1000);
      if (allowed > 0) {
        expect(nextAt).toBeUndefined();
        return;
      }
      const first = nextAt ?? Number.NaN;
      expect(first).toBeGreaterThan(1000);
      expect(allowedBy(windows, charges, first).allowed).toBeGreaterThan(0);
      expect(allowedBy(windows, charges, first - 1).allowed).toBe(0);
    }),
  );
});

test('0, null and nothing are no limit', () => {
  expect(rateWindows({ minute: 0, hour: null })).toEqual([]);
  expect(rateWindows({ minute: 1, hour: 2, day: 3 })).toEqual([
    { limit: 1, windowMs: 60_000 },
    { limit: 2, windowMs: 3_600_000 },
    { limit: 3, windowMs: 86_400_000 },
  ]);
  expect(allowedBy([], [1, 2, 3], 3)).toEqual({ allowed: Number.POSITIVE_INFINITY, nextAt: undefined });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { forecastCharge } from '../../src/core/rate-forecast.js';
import { allowance, type RateWindow } from '../../src/core/rate-limit.js';

/** Charges one after the other, each at the first moment that the limits allow. */
function simulated(windows: RateWindow[], charges: number[], ahead: number, now: number): number {
  const made = [...charges];
  let at = now;
  for (let n = 0; n <= ahead; n++) {
    for (;;) {
      const newestFirst = [...made].sort((a, b) => b - a);
      const { allowed, nextAt } = allowance(
        windows,
        at,
        (nth) => newestFirst[nth - 1],
        (after) => made.filter((charge) => charge > after).length,
      );
      if (allowed > 0) break;
      at = nextAt as number;
    }
    made.push(at);
  }
  return at;
}

test('is the moment at which the limits let it go, however many wait in front', () => {
  const window = fc.record({
    limit: fc.integer({ min: 1, max: 5 }),
    windowMs: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(
      fc.array(window, { minLength: 1, maxLength: 3 }),
      fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 12 }),
      fc.integer({ min: 0, max: 30 }),
      (windows, moments, ahead) => {
        const charges = [...moments].sort((a, b) => a - b);
        const now = 2000;
        expect(forecastCharge([{ windows, charges }], ahead, now)).toBe(
          simulated(windows, charges, ahead, now),
        );
      },
    ),
  );
});

test('is not made for the far end of a long line', () => {
  expect(forecastCharge([{ windows: [{ limit: 1, windowMs: 1 }], charges: [] }], 1001, 0)).toBeUndefined();
});

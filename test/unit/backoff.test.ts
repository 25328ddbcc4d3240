import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { breakerDelay, nextAttempt } from '../../src/core/backoff.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const middle = () => 0.5;
const never = Number.MAX_SAFE_INTEGER;

describe('the next attempt', () => {
  test('comes after 1, 5, 15 minutes, 1, 2, 4, 8, 16 hours and then every 16 hours', () => {
    const delays = Array.from({ length: 10 }, (_, retryCount) =>
      nextAttempt({ retryCount, now: 1_000, expiresAt: never, random: middle }),
    );
    const expected = [
      MINUTE,
      5 * MINUTE,
      15 * MINUTE,
      HOUR,
      2 * HOUR,
      4 * HOUR,
      8 * HOUR,
      16 * HOUR,
      16 * HOUR,
      16 * HOUR,
    ];
    expect(delays).toEqual(expected.map((delay) => 1_000 + delay));
  });

  test('is spread by at most 20 %', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.nat(50), (random, retryCount) => {
        const at = (value: number) =>
          Number(nextAttempt({ retryCount, now: 0, expiresAt: never, random: () => value }));
        expect(at(random)).toBeGreaterThanOrEqual(0.8 * at(0.5) - 1);
        expect(at(random)).toBeLessThanOrEqual(1.2 * at(0.5) + 1);
      }),
    );
  });

  test('uses the time to the end: a wait that would outlast the message ends a minute before it expires', () => {
    const input = { retryCount: 7, now: 0, random: middle };
    expect(nextAttempt({ ...input, expiresAt: 16 * HOUR })).toBe(16 * HOUR - MINUTE);
    expect(nextAttempt({ ...input, expiresAt: HOUR })).toBe(HOUR - MINUTE);
    expect(nextAttempt({ ...input, expiresAt: 17 * HOUR })).toBe(16 * HOUR);
  });

  test('is expired with less than 30 seconds left, and the last minute is no time to hammer a server', () => {
    const input = { retryCount: 0, random: middle };
    expect(nextAttempt({ ...input, now: 0, expiresAt: 29_999 })).toBe('expired');
    let attempts = 0;
    for (let now: number | 'expired' = 0; now !== 'expired'; attempts++)
      now = nextAttempt({ ...input, now, expiresAt: 2 * MINUTE });
    expect(attempts).toBeLessThanOrEqual(4);
  });
});

describe('the breaker', () => {
  test('waits 5 seconds, doubling up to 5 minutes', () => {
    const delays = [1, 2, 3, 6, 7, 8, 1_000_000].map((failures) => breakerDelay(failures, middle));
    expect(delays).toEqual([5_000, 10_000, 20_000, 160_000, 300_000, 300_000, 300_000]);
  });

  test('is spread by 20 %', () => {
    expect(breakerDelay(1, () => 0)).toBe(4_000);
    expect(breakerDelay(1, () => 1)).toBe(6_000);
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ChargedWindow, FORECAST_LIMIT, forecastCharge } from '../../src/core/rate-forecast.js';
import { allowance } from '../../src/core/rate-limit.js';

type Scope = {
  of: 'account' | 'tenant';
  windows: Array<{ limit: number; windowMs: number }>;
  charges: number[];
};
interface Waiting {
  /** Lower goes first. */
  rank: number;
  dueAt: number;
}

const chargedWindows = (scopes: readonly Scope[]): ChargedWindow[] =>
  scopes.flatMap(({ of, windows, charges }) => {
    const newestFirst = [...charges].sort((a, b) => b - a);
    return windows.map((window) => ({ ...window, of, nthNewestCharge: (n) => newestFirst[n - 1] }));
  });

/** Lets a virtual clock tick millisecond by millisecond, and asks the real limits each time. */
function whenCharged(
  scopes: readonly Scope[],
  queue: readonly Waiting[],
  who: Waiting,
  from: number,
): number {
  const ledgers = scopes.map((scope) => ({ ...scope, charges: [...scope.charges] }));
  const allowed = (now: number) =>
    Math.min(
      ...ledgers.map(({ windows, charges }) => {
        const newestFirst = [...charges].sort((a, b) => b - a);
        const count = (after: number) => charges.filter((at) => at > after).length;
        return allowance(windows, now, (n) => newestFirst[n - 1], count).allowed;
      }),
    );
  let line = [...queue, who].sort((a, b) => a.rank - b.rank);
  for (let now = from; ; now++) {
    for (;;) {
      const next = line.find(({ dueAt }) => dueAt <= now);
      if (next === undefined || allowed(now) < 1) break;
      for (const { charges } of ledgers) charges.push(now);
      if (next === who) return now;
      line = line.filter((other) => other !== next);
    }
  }
}

const NOW = 1000;
const windows = fc.array(
  fc.record({ limit: fc.integer({ min: 1, max: 6 }), windowMs: fc.integer({ min: 1, max: 60 }) }),
  { minLength: 1, maxLength: 3 },
);
const past = fc.array(fc.integer({ min: 930, max: NOW }), { maxLength: 20 });
const scopesOf = fc.tuple(windows, past, windows, past).map(([account, charges, tenant, others]): Scope[] => [
  { of: 'account', windows: account, charges },
  // What the account was charged, the tenant was too; the other way round not.
  { of: 'tenant', windows: tenant, charges: [...charges, ...others] },
]);

describe('the forecast of a charge', () => {
  test('is the very millisecond at which the limits let it go, with n others before it', () => {
    fc.assert(
      fc.property(scopesOf, fc.nat(25), fc.nat(40), (scopes, ahead, wait) => {
        const from = NOW + wait;
        const queue = Array.from({ length: ahead }, (_, rank) => ({ rank, dueAt: 0 }));
        const place = { from, ahead, inLine: ahead, dueAt: 0 };
        const forecast = forecastCharge(chargedWindows(scopes), place);
        expect(forecast.at).toBe(whenCharged(scopes, queue, { rank: ahead, dueAt: 0 }, from));
        expect(forecast.limitedBy === null).toBe(forecast.at === from);
      }),
    );
  });

  test('knows that those behind go too while it is not due', () => {
    fc.assert(
      fc.property(scopesOf, fc.nat(12), fc.nat(12), fc.nat(150), (scopes, ahead, after, wait) => {
        const ranks = [...Array(ahead + after + 1).keys()].filter((rank) => rank !== ahead);
        const queue = ranks.map((rank) => ({ rank, dueAt: 0 }));
        const dueAt = NOW + wait;
        const place = { from: NOW, ahead, inLine: ahead + after, dueAt };
        const forecast = forecastCharge(chargedWindows(scopes), place);
        expect(forecast.at).toBe(whenCharged(scopes, queue, { rank: ahead, dueAt }, NOW));
        expect(forecast.limitedBy === null).toBe(forecast.at === dueAt);
      }),
    );
  });

  test('names the window that makes it wait', () => {
    const minute = { limit: 2, windowMs: 60_000 };
    const hour = { limit: 3, windowMs: 3_600_000 };
    const scopes: Scope[] = [
      { of: 'account', windows: [minute], charges: [NOW - 1, NOW - 1] },
      { of: 'tenant', windows: [hour], charges: [NOW - 1, NOW - 1] },
    ];
    const at = (ahead: number) =>
      forecastCharge(chargedWindows(scopes), { from: NOW, ahead, inLine: ahead, dueAt: NOW });
    expect(at(0)).toMatchObject({ at: NOW - 1 + 60_000, limitedBy: { of: 'account', limit: 2 } });
    expect(at(1)).toMatchObject({ at: NOW - 1 + 3_600_000, limitedBy: { of: 'tenant', limit: 3 } });
  });

  test('without limits is when it is due, however many there are', () => {
    const place = { from: 5, ahead: 10_001, inLine: 10_001, dueAt: 7 };
    expect(forecastCharge([], place)).toEqual({ at: 7, notBefore: 7, limitedBy: null });
  });

  test('goes no further than a thousand charges, and then says what it is later than', () => {
    const one: ChargedWindow = { of: 'account', limit: 1, windowMs: 10, nthNewestCharge: () => undefined };
    const place = (ahead: number) => ({ from: 0, ahead, inLine: ahead, dueAt: 0 });
    expect(forecastCharge([one], place(FORECAST_LIMIT))).toMatchObject({ at: 10_000 });
    expect(forecastCharge([one], place(FORECAST_LIMIT + 1))).toMatchObject({ at: null, notBefore: 10_000 });
  });
});

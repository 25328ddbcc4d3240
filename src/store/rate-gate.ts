import { rateWindows } from '../core/rate-limit.js';
import type { Lane } from './claim-types.js';
import { accountRateScope, type RateLedger, tenantRateScope } from './rate-charges.js';

/** What a lane may send now, and how it is charged: the account's limits and its tenant's as one. Inside a transaction. */
export function rateGate(
  ledger: RateLedger,
  lane: Lane,
  account: Record<string, unknown>,
  now: number,
): {
  /** Whether anything is counted at all. */
  isLimited: boolean;
  allowed: number;
  nextAt: number;
  /** Whose limit leaves no room; the account's own when both do. */
  limitedBy: 'account' | 'tenant';
  charge: (pk: number, claim: number) => void;
} {
  const limit = (name: string): number | null => account[name] as number | null;
  const scopes = [
    {
      of: 'account' as const,
      scope: accountRateScope(lane.accountPk),
      windows: rateWindows({
        minute: limit('limit_minute'),
        hour: limit('limit_hour'),
        day: limit('limit_day'),
      }),
    },
    {
      of: 'tenant' as const,
      scope: tenantRateScope(lane.tenantId),
      windows: rateWindows({ hour: limit('limit_hourly'), day: limit('limit_daily') }),
    },
  ].filter(({ windows }) => windows.length > 0);
  let allowed = Number.MAX_SAFE_INTEGER;
  let nextAt = now;
  let limitedBy: 'account' | 'tenant' | undefined;
  for (const { of, scope, windows } of scopes) {
    ledger.prune(scope, now);
    const room = ledger.allowance(scope, windows, now);
    if (room.allowed === 0) limitedBy ??= of;
    allowed = Math.min(allowed, room.allowed);
    nextAt = Math.max(nextAt, room.nextAt ?? now);
  }
  return {
    isLimited: scopes.length > 0,
    allowed,
    nextAt,
    limitedBy: limitedBy ?? 'account',
    charge: (pk, claim) => {
      for (const { scope } of scopes) ledger.charge(scope, now, pk, claim);
    },
  };
}

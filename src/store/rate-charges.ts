import { type Allowance, allowance, LONGEST_WINDOW_MS, type RateWindow } from '../core/rate-limit.js';
import type { Sql } from './statements.js';

/** The ledger of what was sent when. Its functions run inside the caller's transaction. */
export interface RateLedger {
  allowance(scope: string, windows: readonly RateWindow[], now: number): Allowance;
  charge(scope: string, now: number, messagePk: number, claim: number): void;
  /** Gives the charge of a claim back, in every scope it was made in: nothing was offered to the server. */
  giveBack(scopes: readonly string[], claimedAt: number, messagePk: number, claim: number): void;
  /** Forgets a bounded number of charges that no window reaches any more. */
  prune(scope: string, now: number): void;
  /** Forgets a bounded number of a scope's charges, whatever their age. False once none is left. */
  forget(scope: string): boolean;
}

/** Scope of an account's charges: by its internal key, never its id alone. */
export const accountRateScope = (accountPk: number): string => `a:${accountPk}`;
/** Scope of a tenant's charges over all its accounts. */
export const tenantRateScope = (tenantId: string): string => `t:${tenantId}`;

/** The ledger over one connection. */
export function createRateLedger(sql: Sql): RateLedger {
  return {
    allowance: (scope, windows, now) =>
      allowance(
        windows,
        now,
        (n) =>
          sql('SELECT at FROM rate_charges WHERE scope = ? ORDER BY at DESC LIMIT 1 OFFSET ?').get(
            scope,
            n - 1,
          )?.at as number | undefined,
        (after) =>
          sql('SELECT COUNT(*) AS n FROM rate_charges WHERE scope = ? AND at > ?').get(scope, after)
            ?.n as number,
      ),
    charge(scope, now, messagePk, claim) {
      sql('INSERT INTO rate_charges VALUES (?, ?, ?, ?)').run(scope, now, messagePk, claim);
    },
    giveBack(scopes, claimedAt, messagePk, claim) {
      for (const scope of scopes) {
        sql('DELETE FROM rate_charges WHERE scope = ? AND at = ? AND message_pk = ? AND claim = ?').run(
          scope,
          claimedAt,
          messagePk,
          claim,
        );
      }
    },
    prune(scope, now) {
      sql(
        'DELETE FROM rate_charges WHERE (scope, at, message_pk, claim) IN (SELECT scope, at, message_pk, claim FROM rate_charges WHERE scope = ? AND at <= ? LIMIT 100)',
      ).run(scope, now - LONGEST_WINDOW_MS);
    },
    forget: (scope) =>
      sql(
        'DELETE FROM rate_charges WHERE (scope, at, message_pk, claim) IN (SELECT scope, at, message_pk, claim FROM rate_charges WHERE scope = ? LIMIT 2000)',
      ).run(scope).changes > 0,
  };
}

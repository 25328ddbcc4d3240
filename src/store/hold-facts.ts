import { type HoldFacts, MOST_COUNTED } from '../core/explain-message.js';
import { type ChargedWindow, FORECAST_LIMIT, type LimitOwner } from '../core/rate-forecast.js';
import { type RateWindow, rateWindows } from '../core/rate-limit.js';
import type { LimitBehavior, MessageState } from '../core/types.js';
import { accountRateScope, tenantRateScope } from './rate-charges.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';

/** Reads what holds one message; undefined when there is none with this id. */
export type ReadHoldFacts = (scope: TenantScope, id: string) => Promise<HoldFacts | undefined>;

/** The facts over one connection; each is looked up in an index, and nothing is counted without a bound. */
export function createReadHoldFacts(sql: Sql): ReadHoldFacts {
  const suspendedAt = (tenantId: string, code: string): number | null =>
    (sql(
      'SELECT suspended_at FROM suspensions WHERE tenant_id = ? AND batch_code = ? AND released_at IS NULL',
    ).get(tenantId, code)?.suspended_at ?? null) as number | null;

  const countAhead = (row: Record<string, unknown>): number =>
    sql(
      `SELECT COUNT(*) AS n FROM (SELECT 1 FROM messages WHERE account_pk = ? AND state = 'ready'
         AND (priority, due_at, pk) < (?, ?, ?) LIMIT ${MOST_COUNTED + 1})`,
    ).get(row.account_pk, row.priority, row.due_at, row.pk)?.n as number;

  const countSending = (row: Record<string, unknown>): number =>
    (sql(
      "SELECT SUM(n) AS n FROM message_counts WHERE account_pk = ? AND tenant_id = ? AND state = 'sending'",
    ).get(row.account_pk, row.tenant_id)?.n ?? 0) as number;

  const countInLine = (row: Record<string, unknown>): number =>
    sql(
      `SELECT COUNT(*) AS n FROM (SELECT 1 FROM messages WHERE account_pk = ? AND state = 'ready' AND pk <> ?
         LIMIT ${FORECAST_LIMIT + 1})`,
    ).get(row.account_pk, row.pk)?.n as number;

  /** Reads no more than the charges whose end a forecast may wait for: the oldest of those that a window still counts. */
  const charged = (of: LimitOwner, scope: string, window: RateWindow): ChargedWindow => {
    const most = Math.min(window.limit, FORECAST_LIMIT + 1);
    const skipped = window.limit - most;
    const rows = sql('SELECT at FROM rate_charges WHERE scope = ? ORDER BY at DESC LIMIT ? OFFSET ?').all(
      scope,
      most,
      skipped,
    );
    return { ...window, of, nthNewestCharge: (n) => rows[n - 1 - skipped]?.at as number | undefined };
  };

  const windowsOf = (row: Record<string, unknown>): ChargedWindow[] => {
    const limit = (name: string) => row[name] as number | null;
    const [minute, hour, day] = [limit('limit_minute'), limit('limit_hour'), limit('limit_day')];
    const account = accountRateScope(row.account_pk as number);
    const tenant = tenantRateScope(row.tenant_id as string);
    return [
      ...rateWindows({ minute, hour, day }).map((window) => charged('account', account, window)),
      ...rateWindows({ hour: limit('limit_hourly'), day: limit('limit_daily') }).map((window) =>
        charged('tenant', tenant, window),
      ),
    ];
  };

  const laneOf = (row: Record<string, unknown>): HoldFacts['lane'] =>
    row.failures === null
      ? null
      : {
          failures: row.failures as number,
          openUntil: row.open_until as number,
          reason: row.reason as string | null,
          held: row.held as string | null,
        };

  return async ({ tenantId }, id) => {
    const row = sql(
      `SELECT m.*, active, limit_hourly, limit_daily, limit_minute, limit_hour, limit_day, limit_behavior, max_connections,
             failures, open_until, reason, held
           FROM messages AS m JOIN tenants AS t ON t.id = m.tenant_id LEFT JOIN accounts AS a ON a.pk = m.account_pk
             LEFT JOIN lane_states AS l ON l.account_pk = m.account_pk
           WHERE m.tenant_id = ? AND m.id = ?`,
    ).get(tenantId, id);
    if (row === undefined) return undefined;
    const isInLine = ['ready', 'waiting', 'suspended'].includes(row.state as string);
    const batchCode = row.batch_code as string | null;
    return {
      state: row.state as MessageState,
      accountId: row.account_id as string,
      batchCode,
      deferredAt: row.deferred_at as number | null,
      dueAt: row.due_at as number,
      expiresAt: row.expires_at as number,
      sentAt: row.sent_at as number | null,
      retryCount: row.retry_count as number,
      error: row.error as string | null,
      tenantActive: row.active === 1,
      tenantSuspendedAt: suspendedAt(tenantId, ''),
      batchSuspendedAt: batchCode === null ? null : suspendedAt(tenantId, batchCode),
      account:
        row.limit_behavior === null
          ? null
          : {
              limitBehavior: row.limit_behavior as LimitBehavior,
              maxConnections: row.max_connections as number,
            },
      sending: isInLine ? countSending(row) : 0,
      lane: laneOf(row),
      windows: isInLine ? windowsOf(row) : [],
      ahead: isInLine ? countAhead(row) : 0,
      inLine: isInLine ? countInLine(row) : 0,
    };
  };
}

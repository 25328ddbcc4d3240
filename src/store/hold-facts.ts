import { type HoldFacts, MOST_COUNTED } from '../core/explain-message.js';
import { rateWindows } from '../core/rate-limit.js';
import type { MessageState } from '../core/types.js';
import { accountRateScope, tenantRateScope } from './rate-charges.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import { batchIsSuspended, tenantIsSuspended } from './suspended-sql.js';

/** Reads what holds one message; undefined when there is none with this id. */
export type ReadHoldFacts = (scope: TenantScope, id: string) => Promise<HoldFacts | undefined>;

/** Charges that are read: no limit that is forecast is larger. */
const MOST_CHARGES = 100_000;

/** Reading over one connection. */
export function createReadHoldFacts(sql: Sql): ReadHoldFacts {
  const charged = (scope: string, windows: ReturnType<typeof rateWindows>) => {
    const most = Math.min(Math.max(...windows.map(({ limit }) => limit)), MOST_CHARGES);
    const rows = sql('SELECT at FROM rate_charges WHERE scope = ? ORDER BY at DESC LIMIT ?').all(scope, most);
    return { windows, charges: rows.map(({ at }) => at as number).reverse() };
  };

  const limitsOf = (row: Record<string, unknown>): HoldFacts['limits'] => {
    const limit = (name: string): number | null => row[name] as number | null;
    const scopes = [
      {
        scope: accountRateScope(row.account_pk as number),
        windows: rateWindows({
          minute: limit('limit_minute'),
          hour: limit('limit_hour'),
          day: limit('limit_day'),
        }),
      },
      {
        scope: tenantRateScope(row.tenant_id as string),
        windows: rateWindows({ hour: limit('limit_hourly'), day: limit('limit_daily') }),
      },
    ];
    return scopes
      .filter(({ windows }) => windows.length > 0)
      .map(({ scope, windows }) => charged(scope, windows));
  };

  const aheadOf = (row: Record<string, unknown>): number => {
    if (row.state !== 'ready') return 0;
    const counted = sql(
      `SELECT COUNT(*) AS n FROM (SELECT 1 FROM messages WHERE account_pk = @account_pk AND state = 'ready'
         AND (priority, due_at, pk) < (@priority, @due_at, @pk) LIMIT ${MOST_COUNTED})`,
    ).get({ account_pk: row.account_pk, priority: row.priority, due_at: row.due_at, pk: row.pk });
    return counted?.n as number;
  };

  return async ({ tenantId }, id) => {
    const row = sql(
      `SELECT m.*, t.active, t.limit_hourly, t.limit_daily, a.pk AS found_pk, a.limit_minute, a.limit_hour, a.limit_day,
           a.limit_behavior, l.open_until, l.reason AS lane_reason, l.held,
           ${tenantIsSuspended('m.tenant_id')} AS tenant_suspended,
           ${batchIsSuspended('m.tenant_id', 'm.batch_code')} AS batch_suspended
         FROM messages AS m JOIN tenants AS t ON t.id = m.tenant_id LEFT JOIN accounts AS a ON a.pk = m.account_pk
           LEFT JOIN lane_states AS l ON l.account_pk = m.account_pk
         WHERE m.tenant_id = ? AND m.id = ?`,
    ).get(tenantId, id);
    if (row === undefined) return undefined;
    return {
      state: row.state as MessageState,
      dueAt: row.due_at as number,
      retryCount: row.retry_count as number,
      error: row.error as string | null,
      accountId: row.account_id as string,
      hasAccount: row.found_pk !== null,
      batchCode: row.batch_code as string | null,
      tenantActive: row.active === 1,
      tenantSuspended: row.tenant_suspended === 1,
      batchSuspended: row.batch_suspended === 1,
      lane:
        row.open_until === null
          ? undefined
          : {
              openUntil: row.open_until as number,
              reason: row.lane_reason as string | null,
              held: row.held as string | null,
            },
      limits: limitsOf(row),
      rejectsOverLimit: row.limit_behavior === 'reject',
      ahead: aheadOf(row),
    };
  };
}

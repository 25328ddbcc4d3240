import type { Lane } from './claim-types.js';
import { HAS_ENDPOINT } from './endpoint-sql.js';
import { createQueueReport } from './queue-report.js';
import type { Sql } from './statements.js';

/** Messages of a lane that are told of when its limit is reached: those next in line, so that a long queue is no storm of reports. */
const NEXT_IN_LINE = 250;

/** Reports that messages of a lane wait for a rate limit, inside the caller's transaction: each once until it is claimed again. */
export type ReportLimitWaits = (lane: Lane, limitedBy: 'account' | 'tenant', now: number) => void;

/** Such reports over one connection. */
export function createReportLimitWaits(sql: Sql): ReportLimitWaits {
  const queueReport = createQueueReport(sql);
  return ({ tenantId, accountPk }, limitedBy, now) => {
    if (sql(`SELECT 1 FROM tenants WHERE id = ? AND ${HAS_ENDPOINT}`).get(tenantId) === undefined) return;
    const untold = sql(
      `SELECT pk FROM (SELECT pk, claim, limit_told FROM messages WHERE account_pk = ? AND state = 'ready'
         ORDER BY priority, due_at, pk LIMIT ${NEXT_IN_LINE}) WHERE limit_told <> claim`,
    ).all(accountPk);
    for (const { pk } of untold) {
      sql('UPDATE messages SET limit_told = claim WHERE pk = ?').run(pk);
      queueReport(pk as number, 'deferred', now, `The rate limit of the ${limitedBy} was reached; it waits.`);
    }
  };
}

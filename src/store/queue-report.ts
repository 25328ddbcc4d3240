import type { ReportType } from '../core/report.js';
import { HAS_ENDPOINT } from './endpoint-sql.js';
import type { Sql } from './statements.js';

/** Queues a report about a message for its tenant inside the caller's transaction; nothing when the tenant has no endpoint. */
export type QueueReport = (messagePk: number, type: ReportType, at: number, reason: string | null) => void;

/** Queueing over one connection. */
export function createQueueReport(sql: Sql): QueueReport {
  return (messagePk, type, at, reason) => {
    // It waits with those of its message that wait already: they arrive in their order.
    sql(
      `INSERT INTO reports (tenant_id, message_pk, type, at, reason, due_at)
         SELECT tenants.id, messages.pk, @type, @at, @reason,
             COALESCE((SELECT MAX(due_at) FROM reports WHERE message_pk = @messagePk), 0)
           FROM messages JOIN tenants ON tenants.id = messages.tenant_id
           WHERE messages.pk = @messagePk AND ${HAS_ENDPOINT}`,
    ).run({ messagePk, type, at, reason });
  };
}

import type { Recovered } from './claim-types.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Frees claims that nobody works on any more, inside the caller's transaction. */
export type Recover = (now: number, which: 'all' | 'expired') => Recovered;

/** Recovery over one connection. */
export function createRecover(
  sql: Sql,
  { requeue, hold, giveChargeBack, policyOf }: MessageTransitions,
): Recover {
  return (now: number, which: 'all' | 'expired'): Recovered => {
    const rows = sql(
      `SELECT pk, claim, claimed_at, due_at, tenant_id, account_pk, handed_over FROM messages
         WHERE state = 'sending' AND lease_until <= ?`,
    ).all(which === 'all' ? Number.MAX_SAFE_INTEGER : now);
    const result: Recovered = { freed: 0, retried: 0, held: 0 };
    for (const row of rows) {
      const pk = row.pk as number;
      const tenantId = row.tenant_id as string;
      if (row.handed_over === 0) {
        giveChargeBack(row);
        requeue(pk, now, row.due_at as number, null, 0);
        result.freed++;
      } else if (policyOf(tenantId) === 'hold') {
        hold(
          pk,
          'The server stopped while the message was being handed over: it may or may not have been accepted.',
        );
        result.held++;
      } else {
        requeue(
          pk,
          now,
          now,
          'The server stopped while the message was being handed over; it is sent again.',
          1,
        );
        result.retried++;
      }
    }
    return result;
  };
}

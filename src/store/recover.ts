import { breakerDelay, nextAttempt } from '../core/backoff.js';
import type { RandomSource } from '../core/types.js';
import type { Recovered } from './claim-types.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Frees claims that nobody works on any more, inside the caller's transaction. */
export type Recover = (now: number, which: 'all' | 'expired', random: RandomSource) => Recovered;

/** So often a message may be claimed in vain before it is suspected of ending the process that claims it. */
const CLAIMS_IN_VAIN = 20;
const STOPPED = 'The server stopped while the message was being handed over';

/** Recovery over one connection. */
export function createRecover(
  sql: Sql,
  { finish, requeue, hold, giveChargeBack, policyOf }: MessageTransitions,
): Recover {
  /** At once, unless that was tried often enough: then later and later, up to 5 minutes. */
  const freedDue = (row: Record<string, unknown>, now: number, random: RandomSource): number => {
    const dueAt = row.due_at as number;
    const inVain = (row.claim as number) - (row.retry_count as number) - CLAIMS_IN_VAIN;
    return inVain > 0 ? Math.max(dueAt, now + breakerDelay(inVain, random)) : dueAt;
  };

  /** At once the first time. A server that crashes again and again must not send a copy at each of its starts. */
  const retriedDue = (
    row: Record<string, unknown>,
    now: number,
    random: RandomSource,
  ): number | 'expired' => {
    const retryCount = row.retry_count as number;
    if (retryCount === 0) return now;
    return nextAttempt({ retryCount, now, expiresAt: row.expires_at as number, random });
  };

  return (now, which, random) => {
    const rows = sql(
      `SELECT pk, claim, claimed_at, due_at, expires_at, retry_count, tenant_id, account_pk, handed_over FROM messages
         WHERE state = 'sending' AND lease_until <= ?`,
    ).all(which === 'all' ? Number.MAX_SAFE_INTEGER : now);
    const result: Recovered = { freed: 0, retried: 0, held: 0 };
    for (const row of rows) {
      const pk = row.pk as number;
      const tenantId = row.tenant_id as string;
      if (row.handed_over === 0) {
        giveChargeBack(row);
        requeue(pk, now, freedDue(row, now, random), null, 0);
        result.freed++;
      } else if (policyOf(tenantId) === 'hold') {
        hold(pk, now, `${STOPPED}: it may or may not have been accepted.`);
        result.held++;
      } else {
        const dueAt = retriedDue(row, now, random);
        if (dueAt === 'expired') finish(pk, now, `${STOPPED}. No time was left to send it again.`);
        else requeue(pk, now, dueAt, `${STOPPED}; it is sent again.`, 1);
        result.retried++;
      }
    }
    return result;
  };
}

import { createTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/**
 * Takes messages back that are claimed but not handed over yet, inside the caller's transaction: their mark is then refused, and
 * the body never goes out. Of one batch, or with `batchCode` undefined of the whole tenant.
 */
export type TakeBack = (tenantId: string, batchCode: string | undefined, now: number) => void;

/** Taking back over one connection. */
export function createTakeBack(sql: Sql): TakeBack {
  const { requeue, giveChargeBack } = createTransitions(sql);
  return (tenantId, batchCode, now) => {
    // As many as are in flight at most: the index holds no others.
    const claimed = sql(
      `SELECT pk, claim, claimed_at, due_at, tenant_id, account_pk FROM messages
         WHERE state = 'sending' AND handed_over = 0 AND tenant_id = @tenantId
           AND (@batchCode IS NULL OR batch_code = @batchCode)`,
    ).all({ tenantId, batchCode: batchCode ?? null });
    for (const row of claimed) {
      giveChargeBack(row);
      requeue(row.pk as number, now, row.due_at as number, null, 0);
    }
  };
}

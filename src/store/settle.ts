import { describeRefused, type Refusal } from '../core/refused-recipients.js';
import type { Settlement } from './claim-types.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Writes the result of a claim inside the caller's transaction; false when a newer claim has the message. */
export type Settle = (settlement: Settlement, now: number) => boolean;

/** Settling over one connection. */
export function createSettle(
  sql: Sql,
  { finish, requeue, hold, giveChargeBack, policyOf }: MessageTransitions,
): Settle {
  return ({ pk, claim, recipients, next }: Settlement, now: number): boolean => {
    const row = sql(
      `SELECT pk, claim, claimed_at, due_at, tenant_id, account_pk FROM messages
         WHERE pk = ? AND claim = ? AND state = 'sending'`,
    ).get(pk, claim);
    if (row === undefined) return false;
    for (const { position, state, code, reply } of recipients) {
      sql(
        'UPDATE recipients SET state = ?, code = ?, reply = ?, at = ? WHERE message_pk = ? AND position = ?',
      ).run(state, code, reply, now, pk, position);
    }
    const tenantId = row.tenant_id as string;
    switch (next.kind) {
      case 'final': {
        const refused = sql(
          "SELECT address, code, reply FROM recipients WHERE message_pk = ? AND state = 'error' ORDER BY position LIMIT 11",
        ).all(pk) as unknown as Refusal[];
        if (refused.length > 0) finish(pk, now, describeRefused(refused));
        else {
          sql(
            `UPDATE messages SET state = 'sent', sent_at = ?, error = NULL, owner = NULL, lease_until = NULL,
               handed_over = 0 WHERE pk = ?`,
          ).run(now, pk);
        }
        break;
      }
      case 'error':
        finish(pk, now, next.error);
        break;
      case 'retry':
        requeue(pk, now, next.dueAt, next.error, 1);
        break;
      case 'uncertain':
        if (policyOf(tenantId) === 'hold') hold(pk, next.error);
        else if (next.dueAt === 'expired')
          finish(pk, now, `${next.error} No time was left to send it again.`);
        else requeue(pk, now, next.dueAt, next.error, 1);
        break;
      case 'release':
        giveChargeBack(row);
        requeue(pk, now, row.due_at as number, next.error, 0);
        break;
    }
    return true;
  };
}

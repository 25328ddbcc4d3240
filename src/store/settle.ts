import { firstCleanupAt } from '../core/retention.js';
import type { RecipientResult, Settled, Settlement } from './claim-types.js';
import type { NoteEvent } from './message-events.js';
import type { MessageTransitions } from './message-transitions.js';
import type { Sql } from './statements.js';

/** Writes the result of a claim inside the caller's transaction; false when a newer claim has the message. */
export type Settle = (settlement: Settlement, now: number) => Settled | false;

/** Settling over one connection. */
export function createSettle(
  sql: Sql,
  noteEvent: NoteEvent,
  { finish, conclude, requeue, hold, giveChargeBack, policyOf }: MessageTransitions,
): Settle {
  const writeRecipients = (pk: number, recipients: readonly RecipientResult[], now: number): void => {
    for (const { position, state, code, reply } of recipients) {
      sql(
        'UPDATE recipients SET state = ?, code = ?, reply = ?, at = ? WHERE message_pk = ? AND position = ?',
      ).run(state, code, reply, now, pk, position);
    }
  };

  /** The common case in the fewest statements: a first attempt that every recipient's server accepted. */
  const settleSent = ({ pk, claim, recipients }: Settlement, now: number): Settled | false => {
    const { changes } = sql(
      `UPDATE messages SET state = 'sent', sent_at = ?, error = NULL, owner = NULL, lease_until = NULL, handed_over = 0,
         cleanup_at = ? WHERE pk = ? AND claim = ? AND state = 'sending'`,
    ).run(now, firstCleanupAt('sent', now), pk, claim);
    if (changes === 0) return false;
    writeRecipients(pk, recipients, now);
    noteEvent(pk, 'sent', now);
    return 'sent';
  };

  const isSentWhole = ({ pk, recipients, next }: Settlement): boolean =>
    next.kind === 'final' &&
    recipients.every(({ state }) => state === 'sent') &&
    sql("SELECT 1 FROM recipients WHERE message_pk = ? AND state = 'error' LIMIT 1").get(pk) === undefined;

  return (settlement, now) => {
    if (isSentWhole(settlement)) return settleSent(settlement, now);
    const { pk, claim, recipients, next } = settlement;
    const row = sql(
      `SELECT pk, claim, claimed_at, due_at, tenant_id, account_pk FROM messages
         WHERE pk = ? AND claim = ? AND state = 'sending'`,
    ).get(pk, claim);
    if (row === undefined) return false;
    writeRecipients(pk, recipients, now);
    switch (next.kind) {
      case 'final':
        return conclude(pk, now);
      case 'error':
        finish(pk, now, next.error);
        return 'error';
      case 'retry':
        return requeue(pk, now, next.dueAt, next.error, 1);
      case 'uncertain':
        if (policyOf(row.tenant_id as string) === 'hold') {
          hold(pk, now, next.error);
          return 'uncertain';
        }
        if (next.dueAt !== 'expired') return requeue(pk, now, next.dueAt, next.error, 1);
        finish(pk, now, `${next.error} No time was left to send it again.`);
        return 'error';
      case 'release':
        giveChargeBack(row);
        return requeue(pk, now, row.due_at as number, next.error, 0);
    }
  };
}

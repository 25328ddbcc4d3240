import { describeRefused, type Refusal } from '../core/refused-recipients.js';
import { firstCleanupAt } from '../core/retention.js';
import type { UncertainPolicy } from '../core/types.js';
import type { Settled } from './claim-types.js';
import { createNoteEvent } from './message-events.js';
import { accountRateScope, createRateLedger, tenantRateScope } from './rate-charges.js';
import type { Sql } from './statements.js';

/** Why a message ends whose account is gone. */
export const accountDeleted = (id: string): string =>
  `The account ${id} was deleted before this message was sent.`;

/** How a message leaves one state for another. All run inside the caller's transaction. */
export interface MessageTransitions {
  /** Ends it in error; recipients without an outcome end too. */
  finish(pk: number, now: number, error: string): void;
  /** Every recipient has its outcome: it is sent if all were accepted, else in error that names the refused. */
  conclude(pk: number, now: number): Settled;
  /** Back to the queue, unless its account was deleted meanwhile: nothing would ever send it. */
  requeue(pk: number, now: number, dueAt: number, error: string | null, attempts: 0 | 1): Settled;
  /** Held until a person says what became of it. */
  hold(pk: number, now: number, error: string): void;
  /** Nothing was offered to the server under this claim: its rate charges are taken back. */
  giveChargeBack(row: Record<string, unknown>): void;
  policyOf(tenantId: string): UncertainPolicy;
}

/** The transitions over one connection. */
export function createTransitions(sql: Sql): MessageTransitions {
  const ledger = createRateLedger(sql);
  const noteEvent = createNoteEvent(sql);
  const finish = (pk: number, now: number, error: string): void => {
    sql("UPDATE recipients SET state = 'error', at = ? WHERE message_pk = ? AND state = 'pending'").run(
      now,
      pk,
    );
    sql(
      `UPDATE messages SET state = 'error', error_at = ?, error = ?, owner = NULL, lease_until = NULL, handed_over = 0,
         cleanup_at = ? WHERE pk = ?`,
    ).run(now, error, firstCleanupAt('error', now), pk);
    noteEvent(pk, 'error', now, { error });
  };

  const conclude = (pk: number, now: number): Settled => {
    const refused = sql(
      "SELECT address, code, reply FROM recipients WHERE message_pk = ? AND state = 'error' ORDER BY position LIMIT 11",
    ).all(pk) as unknown as Refusal[];
    if (refused.length > 0) {
      finish(pk, now, describeRefused(refused));
      return 'error';
    }
    sql(
      `UPDATE messages SET state = 'sent', sent_at = ?, error = NULL, owner = NULL, lease_until = NULL, handed_over = 0,
         cleanup_at = ? WHERE pk = ?`,
    ).run(now, firstCleanupAt('sent', now), pk);
    noteEvent(pk, 'sent', now);
    return 'sent';
  };

  const requeue = (
    pk: number,
    now: number,
    dueAt: number,
    error: string | null,
    attempts: 0 | 1,
  ): Settled => {
    const orphan = sql(
      'SELECT account_id FROM messages WHERE pk = ? AND account_pk NOT IN (SELECT pk FROM accounts)',
    ).get(pk);
    if (orphan !== undefined) {
      finish(pk, now, accountDeleted(orphan.account_id as string));
      return 'error';
    }
    sql(
      `UPDATE messages SET state = ?, due_at = ?, error = COALESCE(?, error), retry_count = retry_count + ?, owner = NULL,
         lease_until = NULL, handed_over = 0 WHERE pk = ?`,
    ).run(dueAt > now ? 'waiting' : 'ready', dueAt, error, attempts, pk);
    if (attempts === 0) return 'released';
    noteEvent(pk, 'deferred', now, { error, next_attempt_ts: Math.floor(dueAt / 1000) });
    return 'deferred';
  };

  const hold = (pk: number, now: number, error: string): void => {
    sql(
      "UPDATE messages SET state = 'uncertain', error = ?, owner = NULL, lease_until = NULL WHERE pk = ?",
    ).run(error, pk);
    noteEvent(pk, 'uncertain', now, { error });
  };

  const giveChargeBack = (row: Record<string, unknown>): void =>
    ledger.giveBack(
      [accountRateScope(row.account_pk as number), tenantRateScope(row.tenant_id as string)],
      row.claimed_at as number,
      row.pk as number,
      row.claim as number,
    );

  const policyOf = (tenantId: string): UncertainPolicy =>
    sql('SELECT on_uncertain FROM tenants WHERE id = ?').get(tenantId)?.on_uncertain as UncertainPolicy;

  return { finish, conclude, requeue, hold, giveChargeBack, policyOf };
}

import type { RandomSource } from '../core/types.js';
import type { ClaimAtOnce, Claimer } from './claim-at-once.js';
import type {
  ByteBudget,
  Claim,
  ClaimOptions,
  ClaimResult,
  Lane,
  Recovered,
  Settled,
  Settlement,
} from './claim-types.js';
import type { Claiming } from './claiming.js';
import { createNoteEvent } from './message-events.js';
import { createTransitions } from './message-transitions.js';
import { createPromote, type Promoted } from './promote.js';
import { createRecover } from './recover.js';
import { createReleaseSuspended } from './release-suspended.js';
import { createSettle } from './settle.js';
import type { Sql } from './statements.js';
import { tenantIsSuspended } from './suspended-sql.js';
import type { Writer } from './writer.js';

/** The way out: only the dispatcher uses it, across all tenants. */
export interface ClaimStore {
  /** Accounts that have a message ready now and whose tenant is active. */
  lanesReady(): Promise<Lane[]>;
  /** Makes waiting messages whose time has come ready, and ends those that expired. */
  promoteDue(now: number, limit: number): Promise<Promoted>;
  /** Frees parked messages of batches that were activated. Returns how many rows changed; 0 when nothing is left to free. */
  releaseSuspended(now: number, limit: number): Promise<number>;
  /** When the next waiting message is due, or any unsent one is late or expires; undefined when none. */
  nextDueAt(): Promise<number | undefined>;
  /** Takes up to `limit` messages of one lane: state, owner, lease, claim number and rate charge in one transaction. */
  claimDue(lane: Lane, options: ClaimOptions): Promise<ClaimResult>;
  /** Has what arrives claimed in the transaction that stores it, for whoever has a connection to spare; undefined ends it. */
  claimAtOnce(claimer: Claimer | undefined): void;
  /**
   * The durable mark just before the body goes out.
   *
   * @returns False when the claim is no longer held: the body must then not be sent.
   */
  markHandedOver(pk: number, claim: number): Promise<boolean>;
  /** Writes a result and says what it made of the message. False when a newer claim has the message: the result is then dropped. */
  settle(settlement: Settlement, now: number): Promise<Settled | false>;
  /** Extends the leases of claims that are still worked on; no other claim is kept alive. */
  renewLeases(claims: ReadonlyArray<Pick<Claim, 'pk' | 'claim'>>, until: number): Promise<void>;
  /** Frees claims that nobody works on any more: all of them at the start of a daemon, else those whose lease is over. */
  recover(now: number, which: 'all' | 'expired', random: RandomSource): Promise<Recovered>;
}

/** Makes work that takes from a budget repeatable: what an earlier run took was undone with it, and is there again. */
function budgetedAnew<T>(budget: ByteBudget | undefined, work: () => T): () => T {
  if (budget === undefined) return work;
  let taken: ByteBudget | undefined;
  return () => {
    if (taken !== undefined) {
      budget.left += taken.left;
      budget.isWhole ||= taken.isWhole;
    }
    const { left, isWhole } = budget;
    const result = work();
    taken = { left: left - budget.left, isWhole: isWhole && !budget.isWhole };
    return result;
  };
}

/** The queue's exit over one connection. */
export function createClaimStore(
  sql: Sql,
  writer: Writer,
  claiming: Claiming,
  atOnce: ClaimAtOnce,
): ClaimStore {
  const noteEvent = createNoteEvent(sql);
  const transitions = createTransitions(sql);
  const release = createReleaseSuspended(sql);
  const settle = createSettle(sql, noteEvent, transitions);
  const recover = createRecover(sql, transitions);
  const promote = createPromote(sql, noteEvent, transitions);
  return {
    async lanesReady() {
      return sql(
        `SELECT account_pk AS accountPk, tenant_id AS tenantId FROM message_counts JOIN tenants ON tenants.id = tenant_id
           WHERE state = 'ready' AND n > 0 AND active = 1 AND NOT ${tenantIsSuspended('tenants.id')} ORDER BY tenant_id, account_pk`,
      ).all() as unknown as Lane[];
    },
    promoteDue: (now, limit) => writer.run(() => promote(now, limit)),
    releaseSuspended: (now, limit) => writer.run(() => release(now, limit)),
    async nextDueAt() {
      const row = sql(
        `SELECT MIN(at) AS at FROM (
           SELECT MIN(due_at) AS at FROM messages WHERE state = 'waiting'
           UNION ALL SELECT MIN(attention_at) FROM messages WHERE state IN ('ready', 'waiting', 'suspended'))`,
      ).get();
      return (row?.at ?? undefined) as number | undefined;
    },
    async claimDue(lane, options) {
      const claim = budgetedAnew(options.budget, () => claiming.claim(lane, options));
      const claimed = await writer.run(claim, { isRepeatable: true });
      return claiming.load(claimed, lane);
    },
    claimAtOnce(claimer) {
      atOnce.claimer = claimer;
    },
    markHandedOver: (pk, claim) =>
      writer.run(
        () =>
          sql("UPDATE messages SET handed_over = 1 WHERE pk = ? AND claim = ? AND state = 'sending'").run(
            pk,
            claim,
          ).changes === 1,
        { isUrgent: true },
      ),
    // As urgent as the mark of the message that has the connection next, so that it stays in front of that mark.
    settle: (settlement, now) => writer.run(() => settle(settlement, now), { isUrgent: true }),
    renewLeases: (claims, until) =>
      writer.run(() => {
        for (const { pk, claim } of claims) {
          sql("UPDATE messages SET lease_until = ? WHERE pk = ? AND claim = ? AND state = 'sending'").run(
            until,
            pk,
            claim,
          );
        }
      }),
    recover: (now, which, random) => writer.run(() => recover(now, which, random)),
  };
}

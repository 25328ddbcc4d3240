import type { ContentKind, Priority, RandomSource } from '../core/types.js';
import type { ByteBudget, Claim, ClaimResult, Lane, Recovered, Settlement } from './claim-types.js';
import { createNoteEvent } from './message-events.js';
import { createTransitions } from './message-transitions.js';
import { createPromote } from './promote.js';
import { createRateLedger } from './rate-charges.js';
import { rateGate } from './rate-gate.js';
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
  /** Makes waiting messages whose time has come ready, and ends those that expired. Returns how many changed. */
  promoteDue(now: number, limit: number): Promise<{ promoted: number; expired: number }>;
  /** Frees parked messages of batches that were activated. Returns how many rows changed; 0 when nothing is left to free. */
  releaseSuspended(now: number, limit: number): Promise<number>;
  /** When the next waiting message is due, or any unsent one is late or expires; undefined when none. */
  nextDueAt(): Promise<number | undefined>;
  /** Takes up to `limit` messages of one lane: state, owner, lease, claim number and rate charge in one transaction. */
  claimDue(lane: Lane, options: ClaimOptions): Promise<ClaimResult>;
  /**
   * The durable mark just before the body goes out.
   *
   * @returns False when the claim is no longer held: the body must then not be sent.
   */
  markHandedOver(pk: number, claim: number): Promise<boolean>;
  /** Writes a result. False when a newer claim has the message: the result is then dropped. */
  settle(settlement: Settlement, now: number): Promise<boolean>;
  /** Extends the leases of claims that are still worked on; no other claim is kept alive. */
  renewLeases(claims: ReadonlyArray<Pick<Claim, 'pk' | 'claim'>>, until: number): Promise<void>;
  /** Frees claims that nobody works on any more: all of them at the start of a daemon, else those whose lease is over. */
  recover(now: number, which: 'all' | 'expired', random: RandomSource): Promise<Recovered>;
}

/** How a claim is made. */
export interface ClaimOptions {
  limit: number;
  /** Name of the process that claims. */
  owner: string;
  now: number;
  leaseMs: number;
  /** What contents may be loaded; claims made together share one. @defaultValue no bound */
  budget?: ByteBudget;
}

interface ClaimRow {
  pk: number;
  claim: number;
  id: string;
  priority: Priority;
  envelope_from: string;
  retry_count: number;
  due_at: number;
  expires_at: number;
  created_at: number;
  bytes: number | null;
}

/** Messages of suspended batches that one claim puts aside at most. */
const PARK_STEP = 500;
/** Whether a message's content may be brought into memory; then it is counted. */
function takeFrom(budget: ByteBudget, bytes: number): boolean {
  if (bytes > budget.left && !budget.isWhole) return false;
  budget.left -= bytes;
  budget.isWhole = false;
  return true;
}

/** The queue's exit over one connection. */
export function createClaimStore(sql: Sql, writer: Writer): ClaimStore {
  const ledger = createRateLedger(sql);
  const noteEvent = createNoteEvent(sql);
  const transitions = createTransitions(sql);
  const release = createReleaseSuspended(sql);
  const settle = createSettle(sql, noteEvent, transitions);
  const recover = createRecover(sql, transitions);
  const promote = createPromote(sql, transitions);
  const { finish } = transitions;

  const claimInTransaction = (
    lane: Lane,
    { limit, owner, now, leaseMs, budget }: ClaimOptions,
  ): Omit<ClaimResult, 'claims'> & { rows: ClaimRow[] } => {
    const generation = sql('SELECT value FROM generation').get()?.value as number;
    const nothing = { rows: [], isLimited: false, rejected: 0, parked: 0, more: false, generation };
    const account = sql(
      `SELECT limit_minute, limit_hour, limit_day, limit_behavior, limit_hourly, limit_daily
         FROM accounts JOIN tenants ON tenants.id = tenant_id
         WHERE accounts.pk = ? AND tenant_id = ? AND active = 1 AND NOT ${tenantIsSuspended('tenants.id')}`,
    ).get(lane.accountPk, lane.tenantId);
    if (account === undefined) return nothing;
    const parked = parkSuspended(lane);
    if (parked === PARK_STEP) return { ...nothing, parked, more: true };

    const gate = rateGate(ledger, lane, account, now);
    const isLimited = gate.isLimited;
    if (gate.allowed === 0 && account.limit_behavior === 'reject') {
      const rejected = rejectReady(lane.accountPk, limit, now, gate.limitedBy);
      return { ...nothing, isLimited, parked, rejected, more: rejected === limit };
    }
    const wanted = Math.min(limit, gate.allowed);
    const candidates = sql(
      `SELECT pk, claim + 1 AS claim, id, priority, envelope_from, retry_count, due_at, expires_at, created_at,
           (SELECT LENGTH(content) FROM message_contents WHERE message_pk = pk) AS bytes
         FROM messages WHERE account_pk = ? AND state = 'ready' AND expires_at > ?
         ORDER BY priority, due_at, pk LIMIT ?`,
    ).all(lane.accountPk, now, wanted) as unknown as ClaimRow[];
    const rows: ClaimRow[] = [];
    for (const row of candidates) {
      if (budget !== undefined && !takeFrom(budget, row.bytes ?? 0)) break;
      sql(
        `UPDATE messages SET state = 'sending', owner = ?, claimed_at = ?, lease_until = ?, claim = ?, handed_over = 0
           WHERE pk = ?`,
      ).run(owner, now, now + leaseMs, row.claim, row.pk);
      gate.charge(row.pk, row.claim);
      rows.push(row);
    }
    return {
      rows,
      isLimited,
      rejected: 0,
      parked,
      more: candidates.length === wanted || rows.length < candidates.length,
      generation,
      ...(gate.allowed === 0 ? { limitedUntil: gate.nextAt } : {}),
    };
  };

  /** Puts messages of suspended batches that stand in front aside, so that they are met once and not by every claim. */
  const parkSuspended = ({ tenantId, accountPk }: Lane): number => {
    const suspended = sql(
      "SELECT batch_code FROM suspensions WHERE tenant_id = ? AND batch_code <> '' AND released_at IS NULL LIMIT 1",
    ).get(tenantId);
    if (suspended === undefined) return 0;
    return sql(
      `UPDATE messages SET state = 'suspended' WHERE pk IN (
         SELECT m.pk FROM suspensions AS s JOIN messages AS m INDEXED BY messages_parkable
             ON m.tenant_id = s.tenant_id AND m.batch_code = s.batch_code
           WHERE s.tenant_id = ? AND s.batch_code <> '' AND s.released_at IS NULL
             AND m.state = 'ready' AND m.account_pk = ? LIMIT ${PARK_STEP})`,
    ).run(tenantId, accountPk).changes;
  };

  /** Undefined when the message was deleted right after it was claimed. */
  const load = (row: ClaimRow, { accountPk, tenantId }: Lane): Claim | undefined => {
    const { pk, claim } = row;
    const stored = sql('SELECT kind, content FROM message_contents WHERE message_pk = ?').get(pk);
    const recipients = sql(
      "SELECT position, address FROM recipients WHERE message_pk = ? AND state = 'pending' ORDER BY position",
    ).all(pk) as unknown as Claim['recipients'];
    if (stored === undefined && recipients.length === 0) return undefined;
    return {
      pk,
      claim,
      tenantId,
      id: row.id,
      accountPk,
      priority: row.priority,
      envelopeFrom: row.envelope_from,
      recipients,
      // Content that is gone must not keep the others from being sent: nothing composes from this, and it ends in error.
      contentKind: (stored?.kind ?? 'composed') as ContentKind,
      content: (stored?.content ?? Buffer.alloc(0)) as Buffer,
      retryCount: row.retry_count,
      dueAt: row.due_at,
      expiresAt: row.expires_at,
      createdAt: row.created_at,
    };
  };

  const rejectReady = (
    accountPk: number,
    limit: number,
    now: number,
    limitedBy: 'account' | 'tenant',
  ): number => {
    const rows = sql(
      "SELECT pk FROM messages WHERE account_pk = ? AND state = 'ready' ORDER BY priority, due_at, pk LIMIT ?",
    ).all(accountPk, limit);
    for (const row of rows)
      finish(
        row.pk as number,
        now,
        `The rate limit of the ${limitedBy} was reached, and the account rejects what is over it.`,
      );
    return rows.length;
  };

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
      const { rows, ...rest } = await writer.run(() => claimInTransaction(lane, options));
      const claims = rows.map((row) => load(row, lane)).filter((claim) => claim !== undefined);
      return { ...rest, claims };
    },
    markHandedOver: (pk, claim) =>
      writer.run(
        () =>
          sql("UPDATE messages SET handed_over = 1 WHERE pk = ? AND claim = ? AND state = 'sending'").run(
            pk,
            claim,
          ).changes === 1,
      ),
    settle: (settlement, now) => writer.run(() => settle(settlement, now)),
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

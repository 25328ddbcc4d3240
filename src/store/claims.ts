import type { ContentKind, Priority, RandomSource } from '../core/types.js';
import type { Claim, ClaimResult, Lane, Recovered, Settlement } from './claim-types.js';
import { createTransitions } from './message-transitions.js';
import { createPromote } from './promote.js';
import { createRateLedger } from './rate-charges.js';
import { rateGate } from './rate-gate.js';
import { createRecover } from './recover.js';
import { createSettle } from './settle.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** The way out: only the dispatcher uses it, across all tenants. */
export interface ClaimStore {
  /** Accounts that have a message ready now and whose tenant is active. */
  lanesReady(): Promise<Lane[]>;
  /** Makes waiting messages whose time has come ready, and ends those that expired. Returns how many changed. */
  promoteDue(now: number, limit: number): Promise<{ promoted: number; expired: number }>;
  /** When the next waiting message is due, or any unsent one is late or expires; undefined when none. */
  nextDueAt(): Promise<number | undefined>;
  /** Takes up to `limit` messages of one lane: state, owner, lease, claim number and rate charge in one transaction. */
  claimDue(
    lane: Lane,
    options: { limit: number; owner: string; now: number; leaseMs: number },
  ): Promise<ClaimResult>;
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

/** The queue's exit over one connection. */
export function createClaimStore(sql: Sql, writer: Writer): ClaimStore {
  const ledger = createRateLedger(sql);
  const transitions = createTransitions(sql, ledger);
  const settle = createSettle(sql, transitions);
  const recover = createRecover(sql, transitions);
  const promote = createPromote(sql, transitions);
  const { finish } = transitions;

  /** Undefined when the message was deleted right after it was claimed. */
  const load = (pk: number, claim: number): Claim | undefined => {
    const row = sql(
      `SELECT messages.*, kind, content FROM messages LEFT JOIN message_contents ON message_pk = pk
         WHERE pk = ? AND claim = ?`,
    ).get(pk, claim);
    if (row === undefined) return undefined;
    return {
      pk,
      claim,
      tenantId: row.tenant_id as string,
      id: row.id as string,
      accountPk: row.account_pk as number,
      priority: row.priority as Priority,
      envelopeFrom: row.envelope_from as string,
      recipients: sql(
        "SELECT position, address FROM recipients WHERE message_pk = ? AND state = 'pending' ORDER BY position",
      ).all(pk) as unknown as Claim['recipients'],
      // Content that is gone must not keep the others from being sent: nothing composes from this, and it ends in error.
      contentKind: (row.kind ?? 'composed') as ContentKind,
      content: (row.content ?? Buffer.alloc(0)) as Buffer,
      retryCount: row.retry_count as number,
      expiresAt: row.expires_at as number,
      createdAt: row.created_at as number,
    };
  };

  const claimInTransaction = (
    lane: Lane,
    { limit, owner, now, leaseMs }: { limit: number; owner: string; now: number; leaseMs: number },
  ): { pks: Array<{ pk: number; claim: number }>; limitedUntil?: number; rejected: number } => {
    const account = sql(
      `SELECT accounts.*, limit_hourly, limit_daily FROM accounts JOIN tenants ON tenants.id = tenant_id
         WHERE accounts.pk = ? AND tenant_id = ? AND active = 1`,
    ).get(lane.accountPk, lane.tenantId);
    if (account === undefined) return { pks: [], rejected: 0 };

    const gate = rateGate(ledger, lane, account, now);
    if (gate.allowed === 0 && account.limit_behavior === 'reject') {
      return { pks: [], rejected: rejectReady(lane.accountPk, limit, now, gate.limitedBy) };
    }
    const candidates = sql(
      `SELECT pk, claim FROM messages WHERE account_pk = ? AND state = 'ready' AND expires_at > ?
         ORDER BY priority, due_at, pk LIMIT ?`,
    ).all(lane.accountPk, now, Math.min(limit, gate.allowed)) as unknown as Array<{
      pk: number;
      claim: number;
    }>;
    const pks = candidates.map(({ pk, claim }) => ({ pk, claim: claim + 1 }));
    for (const { pk, claim } of pks) {
      sql(
        `UPDATE messages SET state = 'sending', owner = ?, claimed_at = ?, lease_until = ?, claim = ?, handed_over = 0
           WHERE pk = ?`,
      ).run(owner, now, now + leaseMs, claim, pk);
      gate.charge(pk, claim);
    }
    return { pks, rejected: 0, ...(gate.allowed === 0 ? { limitedUntil: gate.nextAt } : {}) };
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
           WHERE state = 'ready' AND n > 0 AND active = 1 ORDER BY tenant_id, account_pk`,
      ).all() as unknown as Lane[];
    },
    promoteDue: (now, limit) => writer.run(() => promote(now, limit)),
    async nextDueAt() {
      const row = sql(
        `SELECT MIN(at) AS at FROM (
           SELECT MIN(due_at) AS at FROM messages WHERE state = 'waiting'
           UNION ALL SELECT MIN(attention_at) FROM messages WHERE state IN ('ready', 'waiting', 'suspended'))`,
      ).get();
      return (row?.at ?? undefined) as number | undefined;
    },
    async claimDue(lane, options) {
      const { pks, ...rest } = await writer.run(() => claimInTransaction(lane, options));
      const claims = pks.map(({ pk, claim }) => load(pk, claim)).filter((claim) => claim !== undefined);
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

import type { ContentKind, Priority } from '../core/types.js';
import type { ByteBudget, Claim, ClaimOptions, ClaimResult, Lane } from './claim-types.js';
import { createReportLimitWaits } from './limit-waits.js';
import { createTransitions } from './message-transitions.js';
import { createRateLedger } from './rate-charges.js';
import { rateGate } from './rate-gate.js';
import type { Sql } from './statements.js';
import { tenantIsSuspended } from './suspended-sql.js';

/** A claimed message without its content, which is read after the commit. */
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
  first_due_at: number;
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

/** What a claim took, its contents not yet loaded. */
export type ClaimedRows = Omit<ClaimResult, 'claims'> & { rows: ClaimRow[] };

/** Claiming for one lane, in two parts: the change inside the caller's transaction, and the reading after it. */
export interface Claiming {
  /** Takes messages: state, owner, lease, claim number and rate charge. */
  claim(lane: Lane, options: ClaimOptions): ClaimedRows;
  /** Loads what was taken. */
  load(claimed: ClaimedRows, lane: Lane): ClaimResult;
}

/** Claiming over one connection. */
export function createClaiming(sql: Sql): Claiming {
  const ledger = createRateLedger(sql);
  const { finish } = createTransitions(sql);
  const reportLimitWaits = createReportLimitWaits(sql);

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

  const hasReady = (accountPk: number): boolean =>
    sql("SELECT 1 FROM messages WHERE account_pk = ? AND state = 'ready' LIMIT 1").get(accountPk) !==
    undefined;

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

  const claim = (lane: Lane, { limit, owner, now, leaseMs, budget }: ClaimOptions): ClaimedRows => {
    const generation = sql('SELECT value FROM generation').get()?.value as number;
    // Limited until it is known not to be: else the claim after this one would be made ahead of the connections.
    const nothing = { rows: [], isLimited: true, rejected: 0, parked: 0, more: false, generation };
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
    if (gate.allowed === 0) reportLimitWaits(lane, gate.limitedBy, now);
    const wanted = Math.min(limit, gate.allowed);
    const candidates = sql(
      `SELECT pk, claim + 1 AS claim, id, priority, envelope_from, retry_count, due_at, expires_at, created_at,
           MAX(created_at, COALESCE(deferred_at, 0)) AS first_due_at,
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
      ...(gate.allowed === 0 ? { limitedUntil: gate.nextAt, isHeldBack: hasReady(lane.accountPk) } : {}),
    };
  };

  /** Undefined when the message was deleted right after it was claimed. */
  const loadOne = (row: ClaimRow, { accountPk, tenantId }: Lane): Claim | undefined => {
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
      firstDueAt: row.first_due_at,
    };
  };

  return {
    claim,
    load({ rows, ...rest }, lane) {
      return {
        ...rest,
        claims: rows.map((row) => loadOne(row, lane)).filter((found) => found !== undefined),
      };
    },
  };
}

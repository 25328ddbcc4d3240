import { rateWindows } from '../core/rate-limit.js';
import { describeRefused, type Refusal } from '../core/refused-recipients.js';
import type { ContentKind, Priority, UncertainPolicy } from '../core/types.js';
import { accountDeleted } from './accounts.js';
import { accountRateScope, createRateLedger, type RateLedger, tenantRateScope } from './rate-charges.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** One account with messages due, and what it may do now. */
export interface Lane {
  accountPk: number;
  tenantId: string;
}

/** A message that this process alone may send until the lease ends. */
export interface Claim {
  pk: number;
  /** The fencing number: results are written only while it is still the row's. */
  claim: number;
  tenantId: string;
  id: string;
  accountPk: number;
  priority: Priority;
  envelopeFrom: string;
  /** Recipients that have no final outcome yet. */
  recipients: Array<{ position: number; address: string }>;
  contentKind: ContentKind;
  content: Buffer;
  retryCount: number;
  expiresAt: number;
  createdAt: number;
}

/** What a claim brought: messages, or when a rate limit lets the lane go on, and what that limit rejected. */
export interface ClaimResult {
  claims: Claim[];
  limitedUntil?: number;
  rejected: number;
}

/** What the server said of one recipient. */
export interface RecipientResult {
  position: number;
  state: 'pending' | 'sent' | 'error';
  code: number | null;
  reply: string | null;
}

/** How a claim ends. */
export interface Settlement {
  pk: number;
  claim: number;
  recipients: RecipientResult[];
  next: /** Every recipient has its outcome now: `sent` if all were accepted, else `error` naming the refused. */
    | { kind: 'final' }
    /** Given up: what is still pending ends in error. */
    | { kind: 'error'; error: string }
    | { kind: 'retry'; dueAt: number; error: string }
    /**
     * The body was being handed over and no final reply came: the tenant's policy decides. With `expired` no time is left
     * to send it again: under `retry` it then ends in error.
     */
    | { kind: 'uncertain'; dueAt: number | 'expired'; error: string }
    /** Nothing was offered to the server: the charge is given back, no attempt is counted, its place in the queue is kept. */
    | { kind: 'release'; error: string | null };
}

/** What recovery found. */
export interface Recovered {
  freed: number;
  retried: number;
  held: number;
}

/** The way out: only the dispatcher uses it, across all tenants. */
export interface ClaimStore {
  /** Accounts that have a message ready now and whose tenant is active. */
  lanesReady(): Promise<Lane[]>;
  /** Makes waiting messages whose time has come ready, and ends those that expired. Returns how many changed. */
  promoteDue(now: number, limit: number): Promise<{ promoted: number; expired: number }>;
  /** When the next waiting message is due or any unsent one expires; undefined when none. */
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
  recover(now: number, which: 'all' | 'expired'): Promise<Recovered>;
}

/** The queue's exit over one connection. */
export function createClaimStore(sql: Sql, writer: Writer): ClaimStore {
  const ledger = createRateLedger(sql);

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
      return { pks: [], rejected: rejectReady(lane.accountPk, limit, now) };
    }
    const candidates = sql(
      `SELECT pk, claim FROM messages WHERE account_pk = ? AND state = 'ready' AND expires_at > ?
         ORDER BY priority, due_at, pk LIMIT ?`,
    ).all(lane.accountPk, now, Math.min(limit, gate.allowed)) as unknown as Array<{ pk: number; claim: number }>;
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

  const rejectReady = (accountPk: number, limit: number, now: number): number => {
    const rows = sql(
      "SELECT pk FROM messages WHERE account_pk = ? AND state = 'ready' ORDER BY priority, due_at, pk LIMIT ?",
    ).all(accountPk, limit);
    for (const row of rows)
      finish(
        row.pk as number,
        now,
        'The rate limit of the account was reached and it rejects what is over it.',
      );
    return rows.length;
  };

  const finish = (pk: number, now: number, error: string): void => {
    sql("UPDATE recipients SET state = 'error', at = ? WHERE message_pk = ? AND state = 'pending'").run(
      now,
      pk,
    );
    sql(
      `UPDATE messages SET state = 'error', error_at = ?, error = ?, owner = NULL, lease_until = NULL, handed_over = 0
         WHERE pk = ?`,
    ).run(now, error, pk);
  };

  /** Back to the queue, unless its account was deleted meanwhile: nothing would ever send it. */
  const requeue = (pk: number, now: number, dueAt: number, error: string | null, attempts: 0 | 1): void => {
    const orphan = sql(
      'SELECT account_id FROM messages WHERE pk = ? AND account_pk NOT IN (SELECT pk FROM accounts)',
    ).get(pk);
    if (orphan !== undefined) return finish(pk, now, accountDeleted(orphan.account_id as string));
    sql(
      `UPDATE messages SET state = ?, due_at = ?, error = COALESCE(?, error), retry_count = retry_count + ?, owner = NULL,
         lease_until = NULL, handed_over = 0 WHERE pk = ?`,
    ).run(dueAt > now ? 'waiting' : 'ready', dueAt, error, attempts, pk);
  };

  const hold = (pk: number, error: string): void => {
    sql(
      "UPDATE messages SET state = 'uncertain', error = ?, owner = NULL, lease_until = NULL WHERE pk = ?",
    ).run(error, pk);
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

  const settleInTransaction = ({ pk, claim, recipients, next }: Settlement, now: number): boolean => {
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
        else if (next.dueAt === 'expired') finish(pk, now, `${next.error} No time was left to send it again.`);
        else requeue(pk, now, next.dueAt, next.error, 1);
        break;
      case 'release':
        giveChargeBack(row);
        requeue(pk, now, row.due_at as number, next.error, 0);
        break;
    }
    return true;
  };

  const recoverInTransaction = (now: number, which: 'all' | 'expired'): Recovered => {
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

  const promoteInTransaction = (now: number, limit: number): { promoted: number; expired: number } => {
    const expired = sql(
      "SELECT pk, error FROM messages WHERE state IN ('ready', 'waiting') AND expires_at <= ? LIMIT ?",
    ).all(now, limit);
    for (const row of expired) {
      const last = row.error as string | null;
      finish(
        row.pk as number,
        now,
        `The message expired before it could be sent.${last === null ? '' : ` Last: ${last}`}`,
      );
    }
    const { changes } = sql(
      `UPDATE messages SET state = 'ready' WHERE pk IN
         (SELECT pk FROM messages WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ?)`,
    ).run(now, limit);
    return { promoted: changes, expired: expired.length };
  };

  return {
    async lanesReady() {
      return sql(
        `SELECT account_pk AS accountPk, tenant_id AS tenantId FROM message_counts JOIN tenants ON tenants.id = tenant_id
           WHERE state = 'ready' AND n > 0 AND active = 1 ORDER BY tenant_id, account_pk`,
      ).all() as unknown as Lane[];
    },
    promoteDue: (now, limit) => writer.run(() => promoteInTransaction(now, limit)),
    async nextDueAt() {
      const row = sql(
        `SELECT MIN(at) AS at FROM (
           SELECT MIN(due_at) AS at FROM messages WHERE state = 'waiting'
           UNION ALL SELECT MIN(expires_at) FROM messages WHERE state IN ('ready', 'waiting'))`,
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
    settle: (settlement, now) => writer.run(() => settleInTransaction(settlement, now)),
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
    recover: (now, which) => writer.run(() => recoverInTransaction(now, which)),
  };
}

/** The account's limits and its tenant's as one gate. */
function rateGate(
  ledger: RateLedger,
  lane: Lane,
  account: Record<string, unknown>,
  now: number,
): { allowed: number; nextAt: number; charge: (pk: number, claim: number) => void } {
  const limit = (name: string): number | null => account[name] as number | null;
  const scopes = [
    {
      scope: accountRateScope(lane.accountPk),
      windows: rateWindows({
        minute: limit('limit_minute'),
        hour: limit('limit_hour'),
        day: limit('limit_day'),
      }),
    },
    {
      scope: tenantRateScope(lane.tenantId),
      windows: rateWindows({ hour: limit('limit_hourly'), day: limit('limit_daily') }),
    },
  ].filter(({ windows }) => windows.length > 0);
  let allowed = Number.MAX_SAFE_INTEGER;
  let nextAt = now;
  for (const { scope, windows } of scopes) {
    ledger.prune(scope, now);
    const room = ledger.allowance(scope, windows, now);
    allowed = Math.min(allowed, room.allowed);
    nextAt = Math.max(nextAt, room.nextAt ?? now);
  }
  return {
    allowed,
    nextAt,
    charge: (pk, claim) => {
      for (const { scope } of scopes) ledger.charge(scope, now, pk, claim);
    },
  };
}

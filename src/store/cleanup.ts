import { KEPT_MS } from '../core/keyed-request.js';
import { LONGEST_WINDOW_MS } from '../core/rate-limit.js';
import { cleanupStep, type FinalMessage, retentionStartsAt } from '../core/retention.js';
import type { MessageState, Millis } from '../core/types.js';
import { HAS_ENDPOINT, REPORT_PENDING } from './endpoint-sql.js';
import { createRateLedger } from './rate-charges.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** What one step of the clean-up did. */
export interface CleanedUp {
  /** Messages that were looked at. */
  handled: number;
  /** Those of them whose rows went. */
  removed: number;
  /** When the next message is to be looked at; undefined when none is. */
  nextAt: Millis | undefined;
}

/** Takes away what is no longer needed, in steps that hold up nobody: each is one short transaction. */
export interface CleanupStore {
  /**
   * Looks at the final messages that are due.
   *
   * @param retention - How long a row is kept.
   * @param limit - Most messages of this step; it ends earlier when they are heavy.
   */
  cleanUp(now: Millis, retention: Millis, limit: number): Promise<CleanedUp>;
  /**
   * Removes reported messages of one tenant whose retention began before a moment, whatever the retention time is.
   *
   * @param after - Where the step before ended; 0 to begin.
   * @returns How many went, and where to go on; undefined at the end.
   */
  removeOlder(
    scope: TenantScope,
    before: Millis,
    after: number,
  ): Promise<{ removed: number; next: number | undefined }>;
  /**
   * Gives reports up that nobody takes: those older than the retention time of tenants that have no endpoint any more.
   *
   * @returns How many went; 0 when there are no more.
   */
  giveUpReports(now: Millis, retention: Millis, limit: number): Promise<number>;
  /**
   * Forgets charges of limits that no window reaches any more, of a few accounts and tenants.
   *
   * @param after - What the step before returned; empty to begin.
   * @returns Where to go on; undefined at the end.
   */
  forgetCharges(now: Millis, after: string): Promise<string | undefined>;
  /** Forgets some idempotency keys that are too old to be answered. Returns whether there may be more. */
  forgetRequests(now: Millis): Promise<boolean>;
}

/** Rows of recipients and history, and pages of content, that one transaction takes away. */
const MOST_WEIGHT = 600;
const PAGE_BYTES = 4096;
/** Messages that one transaction of a removal looks at. */
const LOOKED_AT = 500;
const MOST_REMOVED = 100;
const SCOPES_A_STEP = 50;
const REQUESTS_A_STEP = 100;

interface Due extends FinalMessage {
  pk: number;
}

const isFinal = (state: MessageState): state is FinalMessage['state'] =>
  state === 'sent' || state === 'error';

/** The clean-up over one connection. */
export function createCleanupStore(sql: Sql, writer: Writer): CleanupStore {
  const ledger = createRateLedger(sql);

  /** How much goes with a message: also a single one may be heavy, and is taken alone then. */
  const weightOf = (pk: number): number => {
    const row = sql(
      `SELECT (SELECT COUNT(*) FROM recipients WHERE message_pk = @pk) +
         (SELECT COUNT(*) FROM message_events WHERE message_pk = @pk) +
         (SELECT COUNT(*) FROM reports WHERE message_pk = @pk) AS n,
         (SELECT LENGTH(content) FROM message_contents WHERE message_pk = @pk) AS bytes`,
    ).get({ pk });
    return 1 + (row?.n as number) + ((row?.bytes ?? 0) as number) / PAGE_BYTES;
  };

  const remove = (pk: number): void => void sql('DELETE FROM messages WHERE pk = ?').run(pk);
  const lookAgain = (pk: number, at: Millis | null): void =>
    void sql('UPDATE messages SET cleanup_at = ? WHERE pk = ?').run(at, pk);

  const finalFrom = (row: Record<string, unknown>): Due | undefined => {
    const state = row.state as MessageState;
    if (!isFinal(state)) return undefined;
    const at = (state === 'sent' ? row.sent_at : row.error_at) as Millis | null;
    return {
      pk: row.pk as number,
      state,
      finalAt: at ?? (row.created_at as Millis),
      hasContent: row.has_content === 1,
      reportedAt: (row.reported_at ?? undefined) as Millis | undefined,
      hasReports: row.has_reports === 1,
    };
  };
  const STATE = `pk, state, sent_at, error_at, created_at, reported_at, ${REPORT_PENDING} AS has_reports`;
  const WITH_CONTENT = `${STATE},
    EXISTS (SELECT 1 FROM message_contents WHERE message_pk = messages.pk) AS has_content`;

  /** Also those that wait for a retention longer than the present one. */
  const due = (now: Millis, retention: Millis, limit: number): Array<Record<string, unknown>> => {
    const rows = sql(
      `SELECT ${WITH_CONTENT} FROM messages WHERE cleanup_at <= ? ORDER BY cleanup_at LIMIT ?`,
    ).all(now, limit);
    if (rows.length > 0) return rows;
    return sql(`SELECT ${WITH_CONTENT} FROM messages WHERE cleanup_at > ? ORDER BY cleanup_at LIMIT ?`).all(
      now + retention,
      limit,
    );
  };

  const handle = (row: Record<string, unknown>, now: Millis, retention: Millis): boolean => {
    const pk = row.pk as number;
    const message = finalFrom(row);
    if (message === undefined) {
      // It was taken up again since.
      lookAgain(pk, null);
      return false;
    }
    const step = cleanupStep(message, retention, now);
    if (step.what === 'remove') {
      remove(pk);
      return true;
    }
    if (step.what === 'drop-content') sql('DELETE FROM message_contents WHERE message_pk = ?').run(pk);
    lookAgain(pk, step.nextAt);
    return false;
  };

  return {
    cleanUp: (now, retention, limit) =>
      writer.run(() => {
        let handled = 0;
        let removed = 0;
        let weight = 0;
        for (const row of due(now, retention, limit)) {
          if (weight >= MOST_WEIGHT) break;
          weight += weightOf(row.pk as number);
          handled++;
          if (handle(row, now, retention)) removed++;
        }
        const next = sql('SELECT MIN(cleanup_at) AS at FROM messages WHERE cleanup_at IS NOT NULL').get()?.at;
        return { handled, removed, nextAt: (next ?? undefined) as Millis | undefined };
      }),
    removeOlder: ({ tenantId }, before, after) =>
      writer.run(() => {
        const rows = sql(
          `SELECT ${STATE} FROM messages WHERE tenant_id = ? AND pk > ? ORDER BY pk LIMIT ?`,
        ).all(tenantId, after, LOOKED_AT);
        let removed = 0;
        let weight = 0;
        let last = after;
        for (const row of rows) {
          if (removed >= MOST_REMOVED || weight >= MOST_WEIGHT) return { removed, next: last };
          last = row.pk as number;
          const message = finalFrom(row);
          if (message === undefined || (retentionStartsAt(message) ?? Number.POSITIVE_INFINITY) > before)
            continue;
          weight += weightOf(last);
          remove(last);
          removed++;
        }
        return { removed, next: rows.length < LOOKED_AT ? undefined : last };
      }),
    giveUpReports: (now, retention, limit) =>
      writer.run(() => {
        const rows = sql(
          `SELECT seq, message_pk FROM tenants CROSS JOIN reports INDEXED BY reports_by_age ON reports.tenant_id = tenants.id
             WHERE NOT ${HAS_ENDPOINT} AND at <= ? LIMIT ?`,
        ).all(now - retention, limit);
        for (const { seq, message_pk } of rows) {
          sql('DELETE FROM reports WHERE seq = ?').run(seq);
          sql("UPDATE messages SET cleanup_at = ? WHERE pk = ? AND state IN ('sent', 'error')").run(
            now,
            message_pk,
          );
        }
        return rows.length;
      }),
    forgetCharges: (now, after) =>
      writer.run(() => {
        let scope = after;
        for (let n = 0; n < SCOPES_A_STEP; n++) {
          // The first of a scope is its oldest.
          const oldest = sql(
            'SELECT scope, at FROM rate_charges WHERE scope > ? ORDER BY scope, at LIMIT 1',
          ).get(scope);
          if (oldest === undefined) return undefined;
          if ((oldest.at as Millis) <= now - LONGEST_WINDOW_MS) {
            ledger.prune(oldest.scope as string, now);
            // There may be more of this one.
            return scope;
          }
          scope = oldest.scope as string;
        }
        return scope;
      }),
    forgetRequests: (now) =>
      writer.run(() => {
        const { changes } = sql(
          'DELETE FROM keyed_requests WHERE pk IN (SELECT pk FROM keyed_requests WHERE created_at <= ? ORDER BY created_at LIMIT ?)',
        ).run(now - KEPT_MS, REQUESTS_A_STEP);
        return changes === REQUESTS_A_STEP;
      }),
  };
}

import { type RetrySkip, retriedLifetime, retryDecision } from '../core/retry.js';
import type { Change, MessageState } from '../core/types.js';
import type { NoteEvent } from './message-events.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import { readStopped } from './stopped.js';
import type { Writer } from './writer.js';

/** Which messages of a tenant are tried again when they are not named one by one. */
export interface RetryFilter {
  status: 'error' | 'deferred';
  accountId?: string | undefined;
  batchCode?: string | undefined;
}

/** What one short step did. */
export interface RetryStep {
  retried: number;
  skipped: Array<{ id: string; code: RetrySkip }>;
  /** Messages that were looked at, those that the filter does not want included. */
  examined: number;
  /** Where the next step goes on; undefined after the last. */
  next: number | undefined;
}

/** Having messages tried again, a bounded number in a transaction each. */
export interface RetryStore {
  /** Those of `ids` that fit into one step, in order; `next` is the index of the first that did not. */
  retryNamed(
    scope: TenantScope,
    ids: readonly string[],
    from: number,
    by: Change,
  ): Promise<RetryStep & { notFound: string[] }>;
  /** Those that fit the filter, in order of `pk` after `after`. With `dryRun` nothing is changed. */
  retryMatching(
    scope: TenantScope,
    filter: RetryFilter,
    after: number,
    by: Change,
    dryRun: boolean,
  ): Promise<RetryStep>;
}

const MOST_MESSAGES = 200;
const MOST_RECIPIENTS = 2000;
const MOST_EXAMINED = 1000;

const STATE_OF = { error: 'error', deferred: 'waiting' } as const;

/** Retrying over one connection. */
export function createRetryStore(sql: Sql, writer: Writer, note: NoteEvent): RetryStore {
  /** The account that a message goes out through: its own, or the one that took its id after that was deleted. */
  const accountOf = (row: Record<string, unknown>): number | undefined =>
    (sql('SELECT pk FROM accounts WHERE pk = ?').get(row.account_pk)?.pk ??
      sql('SELECT pk FROM accounts WHERE tenant_id = ? AND id = ?').get(row.tenant_id, row.account_id)?.pk) as
      | number
      | undefined;

  const hasContent = (pk: unknown): boolean =>
    sql('SELECT 1 FROM message_contents WHERE message_pk = ?').get(pk) !== undefined;

  const makeDue = (row: Record<string, unknown>, now: number): void => {
    const expiresAt = row.expires_at as number;
    const fresh = retriedLifetime(expiresAt, now);
    // That it is late was said already, or its time is so short that nobody says it: not again.
    const isSettled = expiresAt > now && (row.attention_at as number) >= expiresAt;
    sql("UPDATE messages SET state = 'ready', due_at = ?, expires_at = ?, attention_at = ? WHERE pk = ?").run(
      now,
      fresh.expiresAt,
      isSettled ? row.attention_at : fresh.attentionAt,
      row.pk,
    );
  };

  /** Recipients that have the message never get it again. */
  const tryAgain = (row: Record<string, unknown>, accountPk: number, now: number): number => {
    const { changes } = sql(
      `UPDATE recipients SET state = 'pending', code = NULL, reply = NULL, at = NULL
         WHERE message_pk = ? AND state = 'error'`,
    ).run(row.pk);
    const { expiresAt, attentionAt } = retriedLifetime(row.expires_at as number, now);
    sql(
      `UPDATE messages SET state = 'ready', account_pk = ?, due_at = ?, expires_at = ?, attention_at = ?, error_at = NULL,
         error = NULL, retry_count = 0, handed_over = 0, cleanup_at = NULL WHERE pk = ?`,
    ).run(accountPk, now, expiresAt, attentionAt, row.pk);
    return changes;
  };

  /** A step over rows that are handed to it until it has done enough; undefined stands for a row that is not there. */
  const stepOf = (tenantId: string, { actor, now }: Change, isNamed: boolean, dryRun: boolean) => {
    const { isStopped } = readStopped(sql, tenantId);
    const done = { retried: 0, recipients: 0, skipped: [] as RetryStep['skipped'] };
    const take = (row: Record<string, unknown>): void => {
      const accountPk = accountOf(row);
      const decision = retryDecision(
        {
          state: row.state as MessageState,
          isStopped: isStopped(row),
          hasContent: hasContent(row.pk),
          hasAccount: accountPk !== undefined,
          retryCount: row.retry_count as number,
          deferredAt: row.deferred_at as number | null,
        },
        now,
        isNamed,
      );
      if (typeof decision === 'object') {
        done.skipped.push({ id: row.id as string, code: decision.skip });
        return;
      }
      done.retried++;
      if (dryRun) return;
      if (decision === 'due-now') makeDue(row, now);
      else done.recipients += tryAgain(row, accountPk as number, now);
      note(row.pk as number, 'retried', now, { from: row.state, by: actor.kind });
    };
    const isEnough = (): boolean => done.retried >= MOST_MESSAGES || done.recipients >= MOST_RECIPIENTS;
    return { done, take, isEnough };
  };

  const named = (tenantId: string, ids: readonly string[], from: number, by: Change) => {
    const { done, take, isEnough } = stepOf(tenantId, by, true, false);
    const notFound: string[] = [];
    let next = from;
    while (next < ids.length && !isEnough() && next - from < MOST_EXAMINED) {
      const id = ids[next++] as string;
      const row = sql('SELECT * FROM messages WHERE tenant_id = ? AND id = ?').get(tenantId, id);
      if (row === undefined) notFound.push(id);
      else take(row);
    }
    const { retried, skipped } = done;
    const goesOn = next < ids.length ? next : undefined;
    return { retried, skipped, notFound, examined: next - from, next: goesOn };
  };

  const matching = (
    tenantId: string,
    { status, accountId, batchCode }: RetryFilter,
    after: number,
    by: Change,
    dryRun: boolean,
  ): RetryStep => {
    const { done, take, isEnough } = stepOf(tenantId, by, false, dryRun);
    // In the order of the index, which knows neither account nor batch: a search through all must not be one long step.
    const rows = sql(
      'SELECT * FROM messages WHERE tenant_id = ? AND state = ? AND pk > ? ORDER BY pk LIMIT ?',
    ).all(tenantId, STATE_OF[status], after, MOST_EXAMINED);
    let examined = 0;
    for (const row of rows) {
      if (isEnough()) break;
      examined++;
      if (accountId !== undefined && row.account_id !== accountId) continue;
      if (batchCode !== undefined && row.batch_code !== batchCode) continue;
      take(row);
    }
    const isLast = examined === rows.length && rows.length < MOST_EXAMINED;
    const next = isLast ? undefined : (rows[examined - 1]?.pk as number);
    return { retried: done.retried, skipped: done.skipped, examined, next };
  };

  return {
    retryNamed: ({ tenantId }, ids, from, by) => writer.run(() => named(tenantId, ids, from, by)),
    async retryMatching({ tenantId }, filter, after, by, dryRun) {
      const step = () => matching(tenantId, filter, after, by, dryRun);
      return dryRun ? step() : await writer.run(step);
    },
  };
}

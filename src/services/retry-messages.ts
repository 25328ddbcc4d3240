import { RETRY_SKIPS, type RetrySkip } from '../core/retry.js';
import type { RetryFilter, RetryStep } from '../store/retry-messages.js';
import { tenantScope } from '../store/scope.js';
import { changeBy, type ServiceContext } from './context.js';
import { getTenant } from './tenants.js';

/** What became of the messages that were to be tried again, as the HTTP contract and `--json` show it. */
export interface RetriedMessages {
  retried: number;
  not_found: string[];
  /** The first thousand that were left as they are, each with the reason. */
  skipped: Array<{ id: string; code: RetrySkip; reason: string }>;
  skipped_count: number;
}

/** How far a bulk retry goes. */
export interface RetryOptions {
  /** The `pk` after which to begin. */
  after?: number;
  /** Ends after the step with which so many messages were looked at. @defaultValue all of them */
  mostExamined?: number;
  /** Counts what would be tried again and changes nothing. */
  dryRun?: boolean;
  /** Called after each step with the messages looked at so far. */
  onProgress?: (examined: number) => void;
}

type Context = Pick<ServiceContext, 'store' | 'actor' | 'now'>;

const MOST_SKIPPED = 1000;

const nothing = (): RetriedMessages => ({ retried: 0, not_found: [], skipped: [], skipped_count: 0 });

function add(result: RetriedMessages, { retried, skipped }: RetryStep): void {
  result.retried += retried;
  result.skipped_count += skipped.length;
  for (const { id, code } of skipped.slice(0, MOST_SKIPPED - result.skipped.length))
    result.skipped.push({ id, code, reason: RETRY_SKIPS[code] });
}

/**
 * Has messages tried again at once, each named by its id.
 *
 * @throws MailProxyError `tenant_not_found`.
 */
export async function retryMessages(
  context: Context,
  tenantId: string,
  ids: readonly string[],
): Promise<RetriedMessages> {
  await getTenant(context, tenantId);
  const distinct = [...new Set(ids)];
  const result = nothing();
  for (let from: number | undefined = 0; from !== undefined; ) {
    const step = await context.store.retries.retryNamed(
      tenantScope(tenantId),
      distinct,
      from,
      changeBy(context),
    );
    add(result, step);
    result.not_found.push(...step.notFound);
    from = step.next;
  }
  return result;
}

/**
 * Has all messages tried again that fit a filter, in many short transactions; it may be ended and run again.
 *
 * @returns With `next`, the `pk` to go on after, when `mostExamined` ended it.
 * @throws MailProxyError `tenant_not_found`.
 */
export async function retryMatching(
  context: Context,
  tenantId: string,
  filter: RetryFilter,
  { after = 0, mostExamined = Number.POSITIVE_INFINITY, dryRun = false, onProgress }: RetryOptions = {},
): Promise<RetriedMessages & { next: number | undefined }> {
  await getTenant(context, tenantId);
  const result = nothing();
  let examined = 0;
  let next: number | undefined = after;
  while (next !== undefined && examined < mostExamined) {
    const step: RetryStep = await context.store.retries.retryMatching(
      tenantScope(tenantId),
      filter,
      next,
      changeBy(context),
      dryRun,
    );
    add(result, step);
    examined += step.examined;
    next = step.next;
    onProgress?.(examined);
    // Others have their turn: what is only read does not wait for a commit.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { ...result, next };
}

/** How many messages of a tenant have a status that can be tried again: as many as a bulk retry looks at. */
export async function countRetriable(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
  status: RetryFilter['status'],
): Promise<number> {
  const counts = await store.messages.counts(tenantScope(tenantId));
  return (status === 'error' ? counts.error : counts.waiting) ?? 0;
}

import { callDelay } from './backoff.js';
import type { Millis, RandomSource } from './types.js';

/** A tenant is called at least so often, whether there is something to report or not. */
export const SYNC_INTERVAL_MS: Millis = 300_000;
/** A tenant that says that it has more is called again after so long, unless something new is reported meanwhile. */
const CALL_AGAIN_MS: Millis = 1000;

/** Most reports of one call. */
const MOST_REPORTS = 500;

/** How many reports the next call may carry: fewer after each failure but the first, since an endpoint may refuse large calls. */
export function mostReports(failures: number): number {
  return Math.max(1, MOST_REPORTS >> Math.max(0, Math.min(failures, 10) - 1));
}

/** How the calls to one tenant stand. */
export interface SyncMemory {
  /** The last call that was answered well. */
  lastSyncAt: Millis | undefined;
  /** Until then the tenant wants no call that carries no report. */
  quietUntil: Millis | undefined;
  /** Failed calls in a row. */
  failures: number;
  /** No call before this moment, after one that failed. */
  retryAt: Millis | undefined;
  /** The tenant said that it has more, and is called again then. */
  againAt: Millis | undefined;
}

/** A tenant of which nothing but what is stored is known. */
export function freshMemory(stored: Pick<SyncMemory, 'lastSyncAt' | 'quietUntil'>): SyncMemory {
  return { ...stored, failures: 0, retryAt: undefined, againAt: undefined };
}

/**
 * When a tenant is called next: at once with a report, else every 5 minutes or when it said that it has more, but not while it wants
 * to be left alone; and never while a failed call is waited out.
 *
 * @param reportAt - When its first report may be sent; undefined without any.
 */
export function nextCallAt(memory: SyncMemory, reportAt: Millis | undefined): Millis {
  const { lastSyncAt, quietUntil, retryAt, againAt } = memory;
  const heartbeat = lastSyncAt === undefined ? 0 : lastSyncAt + SYNC_INTERVAL_MS;
  const withoutReport = Math.max(Math.min(againAt ?? heartbeat, heartbeat), quietUntil ?? 0);
  return Math.max(Math.min(reportAt ?? withoutReport, withoutReport), retryAt ?? 0);
}

/** What a call that was answered well changes. */
export function afterAnswer(
  call: { startedAt: Millis; endedAt: Millis; reports: number },
  answer: { queued: number; nextSyncAfter: Millis | undefined },
): SyncMemory {
  // A call that carried something new may be followed at once; one that did not would go round in a circle.
  const againAt = call.reports > 0 ? call.endedAt : call.startedAt + CALL_AGAIN_MS;
  return {
    lastSyncAt: call.endedAt,
    quietUntil: answer.nextSyncAfter,
    failures: 0,
    retryAt: undefined,
    againAt: answer.queued > 0 ? againAt : undefined,
  };
}

/** What a failed call changes: the next one waits, longer each time. */
export function afterFailure(memory: SyncMemory, now: Millis, random: RandomSource): SyncMemory {
  const failures = memory.failures + 1;
  return { ...memory, failures, retryAt: now + callDelay(failures, random) };
}

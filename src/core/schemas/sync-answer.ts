import { z } from 'zod';
import { parseTimestamp } from '../time.js';
import type { Millis } from '../types.js';

/** What a tenant's endpoint answered, understood. */
export interface SyncAnswer {
  /** How many messages it has waiting. */
  queued: number;
  /** Until then it wants no call that carries no report. */
  nextSyncAfter: Millis | undefined;
  /** Ids of messages whose reports it could not take. */
  error: ReadonlySet<string>;
  /** Ids of messages that it does not know. */
  notFound: string[];
}

const ids = z.array(z.union([z.string(), z.number().transform(String)])).nullish();
// Hints that make no sense are passed over; what decides over reports has to be understood.
const schema = z.object({
  ok: z.literal(true),
  queued: z.number().nullish().catch(null),
  next_sync_after: z.union([z.number(), z.string()]).nullish().catch(null),
  error: ids,
  not_found: ids,
});

/** Reads an answer; undefined when it acknowledges nothing. */
export function parseSyncAnswer(body: unknown): SyncAnswer | undefined {
  const parsed = schema.safeParse(body);
  if (!parsed.success) return undefined;
  const { queued, next_sync_after, error, not_found } = parsed.data;
  return {
    queued: queued ?? 0,
    nextSyncAfter: timeOf(next_sync_after),
    error: new Set(error ?? []),
    notFound: not_found ?? [],
  };
}

function timeOf(said: string | number | null | undefined): Millis | undefined {
  if (said === null || said === undefined) return undefined;
  try {
    return parseTimestamp(said);
  } catch {
    return undefined;
  }
}

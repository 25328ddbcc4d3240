import { MailProxyError } from '../core/errors.js';
import { isId } from '../core/ids.js';
import { parsePriority } from '../core/priority.js';
import { parseMessage } from '../core/schemas/parse-message.js';
import type { Priority } from '../core/types.js';
import { type BatchResult, type Once, type RejectedMessage, together } from './batch-result.js';
import { createBreather } from './breather.js';
import type { ServiceContext } from './context.js';
import { enqueueForTenant, type PlacedMessage } from './enqueue-for-tenant.js';

/** A batch as it came: its messages are not validated yet, so that a bad one stops none of the others. */
export interface MessageBatch {
  messages: readonly unknown[];
  defaultPriority: string | number | undefined;
  /** Tenant of the messages that name none; a tenant token's own. */
  tenantId: string | undefined;
  /** Whether messages may name other tenants: only an admin's may. */
  anyTenant: boolean;
}

/**
 * Validates a batch message by message and stores the good ones, durably before this resolves.
 *
 * @param once - For a batch with an idempotency key, so that what becomes of it is remembered.
 * @throws MailProxyError `tenant_mismatch` when a message names a tenant that the caller may not act for: nothing is
 * stored then. `store_unavailable`, and what could not be committed is not acknowledged.
 */
export async function enqueueMessages(
  context: ServiceContext,
  batch: MessageBatch,
  fallbackPriority: Priority,
  once?: Once,
): Promise<BatchResult> {
  const defaultPriority =
    batch.defaultPriority === undefined ? fallbackPriority : parsePriority(batch.defaultPriority);
  const done = new Map(once?.outcomes.map((outcome) => [outcome.at, outcome]));
  const rejected: RejectedMessage[] = [];
  let queued = 0;
  const byTenant = new Map<string, PlacedMessage[]>();
  const breathe = createBreather();
  for (const [at, raw] of batch.messages.entries()) {
    await breathe();
    if (!batch.anyTenant) refuseOtherTenant(raw, batch.tenantId);
    const outcome = done.get(at);
    if (outcome !== undefined) {
      if (outcome.rejection === undefined) queued++;
      else rejected.push(outcome.rejection);
      continue;
    }
    const parsed = parseMessage(raw);
    if ('rejection' in parsed) {
      rejected.push(parsed.rejection);
      continue;
    }
    const tenantId = parsed.wire.tenant_id ?? batch.tenantId;
    if (tenantId === undefined || !isId(tenantId)) {
      rejected.push({
        id: parsed.wire.id,
        reason: 'tenant_id: The message names no tenant.',
        code: 'validation_failed',
      });
      continue;
    }
    if (batch.tenantId !== undefined && tenantId !== batch.tenantId) {
      rejected.push({
        id: parsed.wire.id,
        reason: 'tenant_id: The message names another tenant than the request.',
        code: 'tenant_mismatch',
      });
      continue;
    }
    const messages = byTenant.get(tenantId) ?? [];
    messages.push({ wire: parsed.wire, at });
    byTenant.set(tenantId, messages);
  }
  const sorted: BatchResult = { queued, rejected, tenantIds: [] };
  const how = { breathe, once, before: once !== undefined && byTenant.size === 1 ? sorted : undefined };
  const storing = [...byTenant].map(([tenantId, messages]) =>
    enqueueForTenant(context, tenantId, messages, defaultPriority, how),
  );
  // Who tries again after a failure must find nothing of it still under way.
  if (once !== undefined) await Promise.allSettled(storing);
  return together([sorted, ...(await Promise.all(storing))]);
}

/** A tenant's token that names another tenant is refused as a whole, before anything is stored. */
function refuseOtherTenant(raw: unknown, tenantId: string | undefined): void {
  if (typeof raw !== 'object' || raw === null || !('tenant_id' in raw)) return;
  const named = raw.tenant_id;
  if (named === undefined || named === null || named === tenantId) return;
  throw new MailProxyError('tenant_mismatch', 'Token not authorized for this tenant');
}

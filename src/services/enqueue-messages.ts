import { MailProxyError } from '../core/errors.js';
import { isId } from '../core/ids.js';
import { normalizeMessage } from '../core/message.js';
import { parsePriority } from '../core/priority.js';
import type { RejectionCode } from '../core/rejection-codes.js';
import type { WireMessage } from '../core/schemas/message.js';
import { parseMessage } from '../core/schemas/parse-message.js';
import type { NewMessage, Priority } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import { createBreather } from './breather.js';
import type { ServiceContext } from './context.js';

/** A batch as it came: its messages are not validated yet, so that a bad one stops none of the others. */
export interface MessageBatch {
  messages: readonly unknown[];
  defaultPriority: string | number | undefined;
  /** Tenant of the messages that name none; a tenant token's own. */
  tenantId: string | undefined;
  /** Whether messages may name other tenants: only an admin's may. */
  anyTenant: boolean;
}

/** A message that was not queued, and why. */
export interface RejectedMessage {
  id: string | null;
  reason: string;
  code: RejectionCode;
}

/** What became of a batch. */
export interface BatchResult {
  queued: number;
  rejected: RejectedMessage[];
  /** Accounts' tenants that got something to send. */
  tenantIds: string[];
}

/**
 * Validates a batch message by message and stores the good ones, durably before this resolves.
 *
 * @throws MailProxyError `tenant_mismatch` when a message names a tenant that the caller may not act for: nothing is
 * stored then. `store_unavailable`, and what could not be committed is not acknowledged.
 */
export async function enqueueMessages(
  context: ServiceContext,
  batch: MessageBatch,
  fallbackPriority: Priority,
): Promise<BatchResult> {
  const defaultPriority =
    batch.defaultPriority === undefined ? fallbackPriority : parsePriority(batch.defaultPriority);
  const rejected: RejectedMessage[] = [];
  const byTenant = new Map<string, WireMessage[]>();
  const breathe = createBreather();
  for (const raw of batch.messages) {
    await breathe();
    if (!batch.anyTenant) refuseOtherTenant(raw, batch.tenantId);
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
    messages.push(parsed.wire);
    byTenant.set(tenantId, messages);
  }
  let queued = 0;
  const tenantIds: string[] = [];
  const results = await Promise.all(
    [...byTenant].map(([tenantId, wires]) =>
      enqueueForTenant(context, tenantId, wires, defaultPriority, breathe),
    ),
  );
  for (const result of results) {
    queued += result.queued;
    rejected.push(...result.rejected);
    tenantIds.push(...result.tenantIds);
  }
  return { queued, rejected, tenantIds };
}

/** A tenant's token that names another tenant is refused as a whole, before anything is stored. */
function refuseOtherTenant(raw: unknown, tenantId: string | undefined): void {
  if (typeof raw !== 'object' || raw === null || !('tenant_id' in raw)) return;
  const named = raw.tenant_id;
  if (named === undefined || named === null || named === tenantId) return;
  throw new MailProxyError('tenant_mismatch', 'Token not authorized for this tenant');
}

async function enqueueForTenant(
  context: ServiceContext,
  tenantId: string,
  wires: readonly WireMessage[],
  defaultPriority: Priority,
  breathe: () => Promise<void>,
): Promise<BatchResult> {
  const { store } = context;
  const scope = tenantScope(tenantId);
  const now = context.now();
  const rejected: RejectedMessage[] = [];
  const fromAddressOf = fromAddresses(context, tenantId);
  const messages: NewMessage[] = [];
  for (const wire of wires) {
    await breathe();
    const fallbackFrom =
      wire.from || wire.from_addr ? undefined : await fromAddressOf(wire.account_id ?? undefined);
    const normalized = normalizeMessage(wire, { now, tenantId, defaultPriority, fallbackFrom });
    if ('rejection' in normalized) {
      // Without its account a message has no author either: the account is then what is wrong.
      const message = { id: wire.id, accountId: wire.account_id ?? undefined };
      rejected.push((await store.queue.accountProblem(scope, message)) ?? normalized.rejection);
    } else messages.push(normalized.message);
  }
  if (messages.length === 0) {
    if ((await store.tenants.get(scope)) === undefined) return refuseAll(wires, tenantId);
    return { queued: 0, rejected, tenantIds: [] };
  }
  try {
    const results = await store.queue.enqueue(scope, messages, now);
    for (const result of results) if (!result.queued) rejected.push(result.rejection);
    const queued = results.filter((result) => result.queued).length;
    return { queued, rejected, tenantIds: queued > 0 ? [tenantId] : [] };
  } catch (error) {
    if (!(error instanceof MailProxyError) || error.code !== 'tenant_not_found') throw error;
    return refuseAll(wires, tenantId);
  }
}

function refuseAll(wires: readonly WireMessage[], tenantId: string): BatchResult {
  const reason = `There is no tenant "${tenantId}".`;
  return {
    queued: 0,
    rejected: wires.map(({ id }) => ({ id, reason, code: 'tenant_not_found' })),
    tenantIds: [],
  };
}

/** The author that an account gives to messages without one, looked up once per account of a batch. */
function fromAddresses(
  { store }: ServiceContext,
  tenantId: string,
): (accountId: string | undefined) => Promise<string | undefined> {
  const known = new Map<string | undefined, string | undefined>();
  return async (accountId) => {
    if (!known.has(accountId)) {
      const account =
        accountId === undefined
          ? await store.accounts.getDefault(tenantScope(tenantId))
          : await store.accounts.get(tenantScope(tenantId), accountId);
      known.set(accountId, account?.fromAddress ?? undefined);
    }
    return known.get(accountId);
  };
}

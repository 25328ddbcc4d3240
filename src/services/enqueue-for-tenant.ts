import { MailProxyError } from '../core/errors.js';
import { normalizeMessage } from '../core/message.js';
import type { WireMessage } from '../core/schemas/message.js';
import type { NewMessage, Priority } from '../core/types.js';
import type { EnqueueResult } from '../store/queue.js';
import { tenantScope } from '../store/scope.js';
import { answerText, type BatchResult, type Once, type RejectedMessage, together } from './batch-result.js';
import type { ServiceContext } from './context.js';

/** A message that has the right shape, and its place in the batch, from 0. */
export interface PlacedMessage {
  wire: WireMessage;
  at: number;
}

/** How messages are stored. */
export interface HowToEnqueue {
  breathe(): Promise<void>;
  /** Given for a batch with an idempotency key. */
  once?: Once | undefined;
  /** What became of the rest of the batch, when that is known already: then the batch's answer is remembered with the messages. */
  before?: BatchResult | undefined;
}

/**
 * Stores the messages of one tenant, or rejects all when there is no such tenant.
 *
 * @throws MailProxyError `store_unavailable`
 */
export async function enqueueForTenant(
  context: ServiceContext,
  tenantId: string,
  placed: readonly PlacedMessage[],
  defaultPriority: Priority,
  { breathe, once, before }: HowToEnqueue,
): Promise<BatchResult> {
  const { store } = context;
  const scope = tenantScope(tenantId);
  const now = context.now();
  const rejected: RejectedMessage[] = [];
  const fromAddressOf = fromAddresses(context, tenantId);
  const messages: NewMessage[] = [];
  const places: number[] = [];
  for (const { wire, at } of placed) {
    await breathe();
    const fallbackFrom =
      wire.from || wire.from_addr || wire.raw ? undefined : await fromAddressOf(wire.account_id ?? undefined);
    const normalized = normalizeMessage(wire, { now, tenantId, defaultPriority, fallbackFrom });
    if ('rejection' in normalized) {
      // Without its account a message has no author either: the account is then what is wrong.
      const message = { id: wire.id, accountId: wire.account_id ?? undefined };
      rejected.push((await store.queue.accountProblem(scope, message)) ?? normalized.rejection);
    } else {
      messages.push(normalized.message);
      places.push(at);
    }
  }
  if (messages.length === 0) {
    if ((await store.tenants.get(scope)) === undefined) return refuseAll(placed, tenantId);
    return { queued: 0, rejected, tenantIds: [] };
  }
  try {
    const outcome = (results: readonly EnqueueResult[]): BatchResult => {
      const refused = results.flatMap((result) => (result.queued ? [] : [result.rejection]));
      const queued = results.length - refused.length;
      return { queued, rejected: [...rejected, ...refused], tenantIds: queued > 0 ? [tenantId] : [] };
    };
    const answer =
      before && ((results: readonly EnqueueResult[]) => answerText(together([before, outcome(results)])));
    return outcome(
      await store.queue.enqueue(scope, messages, now, once && { request: once.request, places, answer }),
    );
  } catch (error) {
    if (!(error instanceof MailProxyError) || error.code !== 'tenant_not_found') throw error;
    return refuseAll(placed, tenantId);
  }
}

function refuseAll(placed: readonly PlacedMessage[], tenantId: string): BatchResult {
  const reason = `There is no tenant "${tenantId}".`;
  return {
    queued: 0,
    rejected: placed.map(({ wire: { id } }) => ({ id, reason, code: 'tenant_not_found' })),
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

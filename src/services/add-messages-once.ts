import { MailProxyError } from '../core/errors.js';
import type { Priority } from '../core/types.js';
import type { KeyedRequest } from '../store/keyed-requests.js';
import type { Store } from '../store/store.js';
import { answerText, type BatchResult } from './batch-result.js';
import type { ServiceContext } from './context.js';
import { enqueueMessages, type MessageBatch } from './enqueue-messages.js';
import { KeyedTurns } from './keyed-turns.js';

/** What a client is told of its batch. */
type Answer = Pick<BatchResult, 'queued' | 'rejected'>;

const turnsOf = new WeakMap<Store, KeyedTurns>();

function turns(store: Store): KeyedTurns {
  const found = turnsOf.get(store) ?? new KeyedTurns();
  turnsOf.set(store, found);
  return found;
}

/**
 * As {@link enqueueMessages} for a request with an idempotency key: what it was answered before, it is answered again, and nothing is
 * stored. While another with its key is under way it waits for that. One that was broken off goes on with the messages that it had not
 * come to; each is remembered in the transaction that stores it.
 *
 * @returns What became of the batch, and whether that was known before: then there is nothing new to send.
 * @throws MailProxyError `idempotency_conflict` when the key was used for something else; and as {@link enqueueMessages}, and then
 * no answer is remembered.
 */
export function addMessagesOnce(
  context: ServiceContext,
  batch: MessageBatch,
  fallbackPriority: Priority,
  request: KeyedRequest,
): Promise<Answer & { isKnown: boolean }> {
  const { keyedRequests } = context.store;
  const { scope, key } = request;
  return turns(context.store).take(
    JSON.stringify([scope === 'admin' ? null : scope.tenantId, key]),
    async () => {
      const before = await keyedRequests.find(request, context.now());
      if (before !== undefined && !before.hash.equals(request.hash)) {
        throw new MailProxyError(
          'idempotency_conflict',
          'This Idempotency-Key was used for another request in the last 24 hours: use a new key for a new request.',
        );
      }
      if (before?.answer !== undefined) return { ...(JSON.parse(before.answer) as Answer), isKnown: true };
      const result = await enqueueMessages(context, batch, fallbackPriority, {
        request,
        outcomes: before?.outcomes ?? [],
      });
      await keyedRequests.answer(request, answerText(result), context.now());
      return { queued: result.queued, rejected: result.rejected, isKnown: false };
    },
  );
}

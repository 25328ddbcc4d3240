import { explainMessage } from '../core/explain-message.js';
import type { Explanation, SendingState } from '../core/hold.js';
import type { Message } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { getMessage, messageNotFound } from './list-messages.js';

/**
 * Finds a message and says what holds it and when it will go.
 *
 * @param sending - Whether anything is sent at all, as the caller knows.
 * @throws MailProxyError `message_not_found`.
 */
export async function explainOne(
  context: Pick<ServiceContext, 'store' | 'now'>,
  tenantId: string,
  id: string,
  sending: SendingState,
): Promise<{ message: Message; explanation: Explanation }> {
  const message = await getMessage(context, tenantId, id);
  const facts = await context.store.holdFacts.read(tenantScope(tenantId), id);
  // Deleted between the two reads.
  if (facts === undefined) throw messageNotFound(tenantId);
  return { message, explanation: explainMessage(facts, sending, context.now()) };
}

import { explainMessage } from '../core/explain-message.js';
import type { Explanation, SendingState } from '../core/hold.js';
import type { Message } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { getMessage } from './list-messages.js';

/**
 * Finds a message and what holds it.
 *
 * @param sending - Whether anything is sent at all.
 * @throws MailProxyError `message_not_found` or `tenant_not_found`.
 */
export async function explainOf(
  context: Pick<ServiceContext, 'store' | 'now'>,
  tenantId: string,
  id: string,
  sending: SendingState,
): Promise<{ message: Message; hold: Explanation }> {
  const message = await getMessage(context, tenantId, id);
  const facts = await context.store.holdFacts(tenantScope(tenantId), id);
  // It was there a moment ago; what is gone is held by nothing.
  if (facts === undefined)
    return { message, hold: { gate: 'final', until: null, reason: 'It is gone.', behind: 0, gates: [] } };
  return { message, hold: explainMessage(facts, sending, context.now()) };
}

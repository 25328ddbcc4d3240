import { type ErrorCode, MailProxyError } from '../core/errors.js';
import { requirePrintable } from '../core/printable.js';
import type { Message } from '../core/types.js';
import type { Resolution } from '../store/resolve-message.js';
import { tenantScope } from '../store/scope.js';
import { changeBy, type ServiceContext } from './context.js';
import { getMessage } from './list-messages.js';

const OBSTACLES = {
  not_uncertain: 'Only an uncertain message can be resolved, and this one is not: see "messages show".',
  content_gone:
    'The content of this message is gone, so that it cannot be sent again: resolve it as sent or as error.',
  account_not_found:
    'The account of this message was deleted, so that it cannot be sent again: resolve it as sent or as error.',
} as const satisfies Partial<Record<ErrorCode, string>>;

/**
 * Says what became of an uncertain message, on a person's word: it was sent, it is sent again, or it is given up.
 *
 * @returns The message as it is now.
 * @throws MailProxyError `tenant_not_found`, `message_not_found`, `not_uncertain`, `content_gone`, `account_not_found`,
 * `validation_failed`.
 */
export async function resolveMessage(
  context: Pick<ServiceContext, 'store' | 'actor' | 'now'>,
  tenantId: string,
  id: string,
  resolution: Resolution,
): Promise<Message> {
  requirePrintable('reason', resolution.reason);
  const scope = tenantScope(tenantId);
  const result = await context.store.resolveMessage(scope, id, resolution, changeBy(context));
  if (result !== 'resolved' && result !== 'message_not_found')
    throw new MailProxyError(result, OBSTACLES[result]);
  return await getMessage(context, tenantId, id);
}

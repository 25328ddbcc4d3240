import { MailProxyError } from '../core/errors.js';
import type { Message } from '../core/types.js';
import type { MessageFilter } from '../store/messages.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { type Page, pageOf } from './page.js';
import { tenantNotFound } from './tenants.js';

/**
 * Lists one tenant's messages, newest first, or with `tenantId` undefined (operator only) everybody's. A page of messages
 * with many recipients ends early.
 */
export async function listMessages(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string | undefined,
  filter: MessageFilter,
  page: { cursor?: string; limit: number },
): Promise<Page<Message>> {
  const before = page.cursor === undefined ? undefined : Number(page.cursor);
  const messagePage = { limit: page.limit, ...(before === undefined ? {} : { before }) };
  const { messages, more } = await (tenantId === undefined
    ? store.messages.listOfAllTenants(filter, messagePage)
    : store.messages.list(tenantScope(tenantId), filter, messagePage));
  return pageOf(messages, more, ({ pk }) => String(pk));
}

/** @throws MailProxyError `message_not_found`. */
export async function getMessage(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
): Promise<Message> {
  const message = await store.messages.get(tenantScope(tenantId), id);
  if (message === undefined) {
    if ((await store.tenants.get(tenantScope(tenantId))) === undefined) throw tenantNotFound(tenantId);
    throw new MailProxyError(
      'message_not_found',
      `There is no message with this id in tenant "${tenantId}".`,
    );
  }
  return message;
}

import type { MessageEvent } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { getMessage } from './list-messages.js';
import { type Page, readPage } from './page.js';

/**
 * One page of what happened to a message, in order.
 *
 * @throws MailProxyError `message_not_found`.
 */
export async function listMessageEvents(
  context: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
  page: { cursor?: string; limit: number },
): Promise<Page<MessageEvent>> {
  await getMessage(context, tenantId, id);
  const after = page.cursor === undefined ? {} : { after: Number(page.cursor) };
  return await readPage(
    page.limit,
    (limit) => context.store.messageEvents.list(tenantScope(tenantId), id, { ...after, limit }),
    ({ pk }) => String(pk),
  );
}

/** The last entries of a message's history, in order. */
export async function lastMessageEvents(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
  limit: number,
): Promise<MessageEvent[]> {
  return (await store.messageEvents.newest(tenantScope(tenantId), id, limit)).reverse();
}

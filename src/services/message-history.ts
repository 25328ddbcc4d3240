import type { MessageEvent } from '../store/message-history.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { getMessage } from './list-messages.js';
import { type Page, readPage } from './page.js';

/**
 * Lists what happened to a message, oldest first.
 *
 * @throws MailProxyError `message_not_found` or `tenant_not_found`.
 */
export async function messageHistory(
  context: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
  page: { cursor?: string; limit: number },
): Promise<Page<MessageEvent>> {
  await getMessage(context, tenantId, id);
  const after = page.cursor === undefined ? {} : { after: Number(page.cursor) };
  return await readPage(
    page.limit,
    async (limit) => (await context.store.history(tenantScope(tenantId), id, { ...after, limit })) ?? [],
    ({ pk }) => String(pk),
  );
}

/** The last of what happened to a message, oldest first; nothing of one that is not there. */
export async function lastEvents(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
  limit: number,
): Promise<MessageEvent[]> {
  return await store.lastEvents(tenantScope(tenantId), id, limit);
}

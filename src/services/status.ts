import type { MessageCounts } from '../store/messages.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';

/** Messages that are not final yet: what `pending_messages` counts. */
export function pendingOf(counts: MessageCounts): number {
  return (
    (counts.ready ?? 0) +
    (counts.waiting ?? 0) +
    (counts.suspended ?? 0) +
    (counts.sending ?? 0) +
    (counts.uncertain ?? 0)
  );
}

/** How many messages wait: of one tenant, or with `tenantId` undefined (operator only) of all. */
export async function pendingMessages(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string | undefined,
): Promise<number> {
  return pendingOf(
    tenantId === undefined
      ? await store.messages.countsOfAllTenants()
      : await store.messages.counts(tenantScope(tenantId)),
  );
}

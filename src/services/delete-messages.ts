import { requirePrintable } from '../core/printable.js';
import { tenantScope } from '../store/scope.js';
import { changeBy, type ServiceContext } from './context.js';
import { getTenant } from './tenants.js';

/** What became of the messages that were to be deleted, as the HTTP contract and `--json` show it. */
export interface DeletedMessages {
  removed: number;
  not_found: string[];
  /** Left alone: the server may have them already. */
  in_progress: string[];
}

/**
 * Deletes messages of a tenant for good, whatever became of them; unsent ones are never sent.
 *
 * @throws MailProxyError `tenant_not_found`, `validation_failed`.
 */
export async function deleteMessages(
  context: Pick<ServiceContext, 'store' | 'actor' | 'now'>,
  tenantId: string,
  ids: readonly string[],
): Promise<DeletedMessages> {
  for (const id of ids) requirePrintable('id', id);
  await getTenant(context, tenantId);
  const { removed, notFound, inProgress } = await context.store.deleteMessages(
    tenantScope(tenantId),
    ids,
    changeBy(context),
  );
  return { removed: removed.length, not_found: notFound, in_progress: inProgress };
}

import { type SyncStatus, syncStatusOf } from '../core/sync-status.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import type { Page } from './page.js';
import { listTenants } from './tenants.js';

/** How the calls to the endpoints of all tenants stand, for the operator. */
export async function syncStatus(
  { store, now }: Pick<ServiceContext, 'store' | 'now'>,
  page: { cursor?: string; limit: number; activeOnly: boolean },
): Promise<Page<SyncStatus>> {
  const { items, ...rest } = await listTenants({ store }, page);
  const statuses: SyncStatus[] = [];
  for (const tenant of items) {
    statuses.push(syncStatusOf(tenant, await store.reports.syncState(tenantScope(tenant.id)), now()));
  }
  return { items: statuses, ...rest };
}

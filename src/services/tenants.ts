import { MailProxyError } from '../core/errors.js';
import type { Tenant } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import { withoutSecrets } from '../store/tenants.js';
import { changeBy, type ServiceContext } from './context.js';
import { type Page, readPage } from './page.js';

/** There is no such tenant. */
export const tenantNotFound = (id: string): MailProxyError =>
  new MailProxyError('tenant_not_found', `There is no tenant "${id}": see "tenants list".`);

/** Lists all tenants, for the operator. */
export async function listTenants(
  { store }: Pick<ServiceContext, 'store'>,
  page: { cursor?: string; limit: number; activeOnly: boolean },
): Promise<Page<Tenant>> {
  return readPage(
    page.limit,
    (limit) =>
      store.tenants.listAll({
        limit,
        activeOnly: page.activeOnly,
        ...(page.cursor === undefined ? {} : { after: page.cursor }),
      }),
    ({ id }) => id,
  );
}

/** @throws MailProxyError `tenant_not_found`. */
export async function getTenant({ store }: Pick<ServiceContext, 'store'>, id: string): Promise<Tenant> {
  const tenant = await store.tenants.get(tenantScope(id));
  if (tenant === undefined) throw tenantNotFound(id);
  return withoutSecrets(tenant);
}

/** Removes a tenant and everything that belongs to it. @throws MailProxyError `tenant_not_found`. */
export async function deleteTenant(
  context: Pick<ServiceContext, 'store' | 'actor' | 'now'>,
  id: string,
): Promise<void> {
  if (!(await context.store.tenants.delete(tenantScope(id), changeBy(context)))) throw tenantNotFound(id);
}

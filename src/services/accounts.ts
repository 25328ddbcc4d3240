import { MailProxyError } from '../core/errors.js';
import type { Account } from '../core/types.js';
import type { StoredAccount } from '../store/accounts.js';
import { withoutPassword } from '../store/accounts.js';
import { tenantScope } from '../store/scope.js';
import type { Store } from '../store/store.js';
import { changeBy, type ServiceContext } from './context.js';
import { type Page, readPage } from './page.js';
import { tenantNotFound } from './tenants.js';

export type { Page } from './page.js';

const notFound = (tenantId: string, id: string): MailProxyError =>
  new MailProxyError('account_not_found', `There is no account "${id}" in tenant "${tenantId}".`);

/** An account that is missing for want of its tenant is told so. */
async function notFoundIn(store: Store, tenantId: string, id: string): Promise<MailProxyError> {
  const tenant = await store.tenants.get(tenantScope(tenantId));
  return tenant === undefined ? tenantNotFound(tenantId) : notFound(tenantId, id);
}

/** Lists one tenant's accounts, or with `tenantId` undefined (operator only) everybody's. */
export async function listAccounts(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string | undefined,
  page: { cursor?: string; limit: number },
): Promise<Page<Account>> {
  if (tenantId === undefined) {
    const after = page.cursor === undefined ? undefined : Number(page.cursor);
    return readPage(
      page.limit,
      (limit) => store.accounts.listOfAllTenants({ limit, ...(after === undefined ? {} : { after }) }),
      ({ pk }) => String(pk),
    );
  }
  const scope = tenantScope(tenantId);
  return readPage(
    page.limit,
    (limit) =>
      store.accounts.list(scope, { limit, ...(page.cursor === undefined ? {} : { after: page.cursor }) }),
    ({ id }) => id,
  );
}

/** @throws MailProxyError `account_not_found`. */
export async function getAccount(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
  id: string,
): Promise<Account> {
  const account = await store.accounts.get(tenantScope(tenantId), id);
  if (account === undefined) throw await notFoundIn(store, tenantId, id);
  return withoutPassword(account);
}

/** @throws MailProxyError `account_not_found`, `account_in_use`. */
export async function deleteAccount(
  context: Pick<ServiceContext, 'store' | 'actor' | 'now'>,
  tenantId: string,
  id: string,
  options: { force: boolean },
): Promise<void> {
  const removed = await context.store.accounts.delete(tenantScope(tenantId), id, changeBy(context), {
    failWaiting: options.force,
  });
  if (!removed) throw notFound(tenantId, id);
}

/** @throws MailProxyError `account_not_found`. */
export async function getStoredAccount(store: Store, tenantId: string, id: string): Promise<StoredAccount> {
  const account = await store.accounts.get(tenantScope(tenantId), id);
  if (account === undefined) throw notFound(tenantId, id);
  return account;
}

import { requireId } from '../core/ids.js';

declare const scoped: unique symbol;

/**
 * The right to touch one tenant's rows. Every function of the store that reads or writes tenant data takes one,
 * so that a query without a tenant cannot be written by accident.
 */
export interface TenantScope {
  readonly tenantId: string;
  readonly [scoped]: true;
}

/**
 * Makes the scope of one tenant.
 *
 * @throws MailProxyError `validation_failed` when the text cannot be a tenant id.
 */
export function tenantScope(tenantId: string): TenantScope {
  return Object.freeze({ tenantId: requireId(tenantId, 'tenant') }) as TenantScope;
}

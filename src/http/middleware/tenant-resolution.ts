import { MailProxyError } from '../../core/errors.js';
import { isId } from '../../core/ids.js';
import type { AppContext, Middleware } from '../app-env.js';
import type { RouteShape, Who } from '../route.js';

/** Whether a route of this kind is about a tenant that the request or its token names. */
export function isAboutTenant(who: Who): boolean {
  return who === 'any-token' || who === 'tenant';
}

const mismatch = () => new MailProxyError('tenant_mismatch', 'Token not authorized for this tenant');

const invalid = (message: string) =>
  new MailProxyError('validation_failed', `The tenant of the request is not valid: ${message}`, {
    issues: [{ path: 'tenant_id', message }],
  });

/** The tenant whose token this is; undefined for an admin's. */
function ownTenant(c: AppContext): string | undefined {
  const principal = c.get('caller')?.principal;
  return principal?.kind === 'tenant' ? principal.tenantId : undefined;
}

/** What an admin names must agree wherever it is named. */
function agree(c: AppContext, named: string): void {
  if (!isId(named)) throw invalid('This is no tenant id.');
  const before = c.get('tenantId');
  if (before !== undefined && before !== named) throw invalid('Path, query and body name different tenants.');
  c.set('tenantId', named);
}

/**
 * Makes the middleware that reads which tenant path and query name, before the body is read.
 *
 * @throws MailProxyError `tenant_mismatch` when a tenant's token names another tenant; `validation_failed` when an admin
 * names two or what is no id.
 */
export function tenantInUrl({ who, tenantParam }: Pick<RouteShape, 'who' | 'tenantParam'>): Middleware {
  return async function resolveTenantInUrl(c, next) {
    if (isAboutTenant(who)) {
      const inPath = tenantParam === undefined ? undefined : c.req.param(tenantParam);
      const named = [...(inPath === undefined ? [] : [inPath]), ...(c.req.queries('tenant_id') ?? [])];
      const own = ownTenant(c);
      if (own !== undefined) {
        if (named.some((tenantId) => tenantId !== own)) throw mismatch();
        c.set('tenantId', own);
      } else {
        for (const tenantId of named) agree(c, tenantId);
      }
    }
    await next();
  };
}

/**
 * Makes the middleware that reads which tenant the body names. A `tenant_id` that is not even a string is left to the
 * body's own validation.
 *
 * @throws MailProxyError as {@link tenantInUrl}, and `validation_failed` when an admin names no tenant on a route that
 * is about one.
 */
export function tenantInBody({ who }: Pick<RouteShape, 'who'>): Middleware {
  return async function resolveTenantInBody(c, next) {
    if (isAboutTenant(who)) {
      const body = c.get('body');
      const named =
        typeof body === 'object' && body !== null && 'tenant_id' in body ? body.tenant_id : undefined;
      if (typeof named === 'string') {
        const own = ownTenant(c);
        if (own === undefined) agree(c, named);
        else if (named !== own) throw mismatch();
      }
      if (who === 'tenant' && c.get('tenantId') === undefined) {
        throw invalid('An admin token has to name the tenant.');
      }
    }
    await next();
  };
}

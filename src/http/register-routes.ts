import type { OpenAPIHono } from '@hono/zod-openapi';
import { MailProxyError } from '../core/errors.js';
import { FailureThrottle } from '../core/failure-throttle.js';
import { authenticator } from '../services/authenticate.js';
import type { ServiceContext } from '../services/context.js';
import type { AppContext, AppEnv, Middleware } from './app-env.js';
import type { AppDeps } from './deps.js';
import { actorOf, authentication, firstUsePerMinute } from './middleware/authentication.js';
import { DEFAULT_BODY_LIMIT, jsonBody } from './middleware/json-body.js';
import { SECURITY_HEADERS } from './middleware/security-headers.js';
import { isAboutTenant, tenantInBody, tenantInUrl } from './middleware/tenant-resolution.js';
import { singleValues } from './query.js';
import type { Route, RouteShape, Who } from './route.js';

/** Given whole to the response, plain: adding them one by one costs more than the answer itself. */
const ANSWER_HEADERS = { ...SECURITY_HEADERS, 'Content-Type': 'application/json' };

function contextOf(deps: AppDeps, c: AppContext): ServiceContext | undefined {
  const principal = c.get('caller')?.principal;
  if (principal === undefined) return undefined;
  return {
    store: deps.store,
    // Only what needs a key asks for one.
    get keyring() {
      return deps.keyring();
    },
    actor: actorOf(principal, c.get('address')),
    now: () => deps.now(),
  };
}

function queryOf(c: AppContext, who: Who): Record<string, string> {
  const queries = c.req.queries();
  if (isAboutTenant(who)) delete queries.tenant_id;
  return singleValues(queries);
}

function bodyOf({ body }: RouteShape): 'none' | 'optional' | 'required' {
  if (body === undefined) return 'none';
  return body.safeParse(undefined).success ? 'optional' : 'required';
}

/** The router's spelling of a declared path: `/account/{id}` is `/account/:id`. */
function routerPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, ':$1');
}

/** Says which declared path matched, for the access log. */
function nameRoute(path: string): Middleware {
  return async function rememberRoute(c, next) {
    c.set('route', path);
    await next();
  };
}

/** Methods that each path answers to, HEAD with GET. */
function methodsByPath(routes: readonly Route[]): Map<string, Route[]> {
  const byPath = new Map<string, Route[]>();
  for (const route of routes) byPath.set(route.path, [...(byPath.get(route.path) ?? []), route]);
  return byPath;
}

function allowedMethods(routes: readonly Route[]): string {
  const methods = new Set(
    routes.flatMap(({ method }) => (method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()])),
  );
  return [...methods].sort().join(', ');
}

/**
 * Registers declared routes. In front of each handler stand, in this order: token, tenant of path and query, body, tenant
 * of the body, validation. Paths that are declared with other methods answer 405 and all else 404, both only to holders of a
 * token unless the path is for anyone.
 */
export function registerRoutes(app: OpenAPIHono<AppEnv>, deps: AppDeps, routes: readonly Route[]): void {
  const { log, authAudit } = deps;
  const authenticate = authenticator(deps.store);
  const now = () => deps.now();
  const isFirstUse = firstUsePerMinute(now);
  const throttle = new FailureThrottle();
  const requireToken = (who: Who, takesBearer?: boolean) =>
    authentication({ authenticate, now, log, authAudit, who, takesBearer, isFirstUse, throttle });

  for (const route of routes) {
    app.on(
      route.method.toUpperCase(),
      routerPath(route.path),
      nameRoute(route.path),
      requireToken(route.who, route.takesBearer),
      tenantInUrl(route),
      jsonBody({
        expects: bodyOf(route),
        limit: deps.bodyLimit ?? DEFAULT_BODY_LIMIT,
        takesIdempotencyKey: route.takesIdempotencyKey === true,
      }),
      tenantInBody(route),
      async (c) => {
        const call = () =>
          route.run({
            deps,
            context: contextOf(deps, c),
            tenantId: c.get('tenantId'),
            isAdmin: c.get('caller')?.principal.kind === 'admin',
            params: c.req.param(),
            query: queryOf(c, route.who),
            body: c.get('body'),
            idempotency: c.get('idempotency'),
          });
        // A rotation may have made a new key primary since the keys were read; nothing was changed without it.
        const answer = await call().catch(async (error: unknown) => {
          if (!(error instanceof MailProxyError) || error.code !== 'key_missing') throw error;
          await deps.reloadKeys();
          return call();
        });
        if (answer instanceof Response) return answer;
        c.set('isSecured', true);
        return new Response(JSON.stringify(answer), { headers: ANSWER_HEADERS });
      },
    );
  }

  // After all handlers, so that no path's refusal shadows another path's handler.
  for (const [path, declared] of methodsByPath(routes)) {
    const who = declared.some((route) => route.who === 'anyone') ? 'anyone' : 'any-token';
    const takesBearer = declared.some((route) => route.takesBearer);
    app.all(routerPath(path), nameRoute(path), requireToken(who, takesBearer), (c) => {
      c.header('Allow', allowedMethods(declared));
      throw new MailProxyError(
        'method_not_allowed',
        `${path} does not answer to this method: see the header Allow.`,
      );
    });
  }
  app.all('*', requireToken('any-token'), () => {
    throw new MailProxyError('route_not_found', 'There is no such route: see /openapi.json.');
  });
}

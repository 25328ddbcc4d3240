import { OpenAPIHono, type RouteConfig } from '@hono/zod-openapi';
import { z } from 'zod';
import { ERROR_CODES, type ErrorCode } from '../core/errors.js';
import { wireIdSchema } from '../core/schemas/account.js';
import { errorAnswer } from './answers.js';
import { idempotencyHeaders } from './idempotency-key.js';
import { isAboutTenant } from './middleware/tenant-resolution.js';
import { defineRoute, type Route } from './route.js';

const SCHEME = 'ApiToken';
const BEARER = 'BearerToken';

/** Failures that any route of this kind can end in. */
function commonErrors(route: Route): ErrorCode[] {
  return [
    'internal',
    'store_unavailable',
    ...(route.who === 'anyone' ? [] : (['unauthorized', 'validation_failed'] as const)),
    ...(route.who === 'admin' ? (['forbidden'] as const) : []),
    ...(isAboutTenant(route.who) ? (['tenant_mismatch'] as const) : []),
    ...(route.body === undefined
      ? []
      : (['invalid_json', 'body_too_large', 'unsupported_media_type'] as const)),
  ];
}

function errorResponses(route: Route, errorSchema: z.ZodType): RouteConfig['responses'] {
  const codes = [...new Set([...commonErrors(route), ...(route.errors ?? [])])].sort();
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = ERROR_CODES[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, ofStatus]) => [
      status,
      {
        description: ofStatus.map((code) => `\`${code}\``).join(', '),
        content: { 'application/json': { schema: errorSchema } },
      },
    ]),
  );
}

function configOf(route: Route, errorSchema: z.ZodType): RouteConfig {
  const tenantQuery =
    isAboutTenant(route.who) && route.tenantParam === undefined ? tenantParameter(route) : {};
  const query = z.object({ ...tenantQuery, ...route.query?.shape });
  const body = route.bodyDoc ?? route.body;
  return {
    method: route.method,
    path: route.path,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    ...(route.who === 'anyone' ? {} : { security: securityOf(route) }),
    request: {
      ...(route.params === undefined ? {} : { params: route.params }),
      ...(Object.keys(query.shape).length === 0 ? {} : { query }),
      ...(route.takesIdempotencyKey === true ? { headers: idempotencyHeaders } : {}),
      ...(body === undefined
        ? {}
        : {
            body: {
              content: { 'application/json': { schema: body } },
              required: !body.safeParse(undefined).success,
            },
          }),
    },
    responses: {
      200: {
        description: 'Done.',
        content: { [route.mediaType ?? 'application/json']: { schema: route.answer } },
      },
      ...errorResponses(route, errorSchema),
    },
  };
}

function securityOf({ takesBearer }: Route): Array<Record<string, string[]>> {
  return [{ [SCHEME]: [] }, ...(takesBearer === true ? [{ [BEARER]: [] }] : [])];
}

function tenantParameter({ who }: Route): z.ZodRawShape {
  const meaning =
    who === 'tenant'
      ? "A tenant token's own when left out; an admin token has to name it here or in the body."
      : "A tenant token's own when left out; with an admin token all tenants.";
  return { tenant_id: wireIdSchema.optional().describe(meaning) };
}

/**
 * Writes the OpenAPI 3.1 document of declared routes, from the very schemas that validate requests.
 *
 * @param version - Version of the product.
 */
export function openApiDocument(routes: readonly Route[], version: string): object {
  // A registry of its own: what is documented does not depend on what an app has mounted.
  const app = new OpenAPIHono();
  app.openAPIRegistry.registerComponent('securitySchemes', SCHEME, {
    type: 'apiKey',
    in: 'header',
    name: 'X-API-Token',
    description: "The admin token, or one of a tenant's tokens.",
  });
  app.openAPIRegistry.registerComponent('securitySchemes', BEARER, {
    type: 'http',
    scheme: 'bearer',
    description: 'The same tokens, where a client can send them only so.',
  });
  const errorSchema = app.openAPIRegistry.register('Error', errorAnswer);
  for (const route of routes) app.openAPIRegistry.registerPath(configOf(route, errorSchema));
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'mail-proxy',
      version,
      description:
        'A mail relay for applications: tenants, encrypted SMTP accounts and a durable outbound queue.',
    },
  });
}

/** Declares `GET /openapi.json` for these routes and itself. */
export function openApiRoute(routes: readonly Route[]): Route {
  const route: Route = defineRoute({
    method: 'get',
    path: '/openapi.json',
    who: 'any-token',
    summary: 'This document.',
    answer: z.looseObject({ openapi: z.string() }),
    async handler({ deps }) {
      return Response.json(document(deps.version));
    },
  });
  let written: object | undefined;
  const document = (version: string): object => {
    written ??= openApiDocument([...routes, route], version);
    return written;
  };
  return route;
}

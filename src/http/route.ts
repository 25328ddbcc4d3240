import { z } from 'zod';
import type { ErrorCode } from '../core/errors.js';
import type { ServiceContext } from '../services/context.js';
import type { AppDeps } from './deps.js';
import { validate } from './validate.js';

/**
 * Who may call a route. `anyone` needs no token. `any-token` is about the token's own tenant, or for an admin about the
 * tenant that is named, or about all. `tenant` is the same, but an admin has to name the tenant. `admin` is for admin tokens.
 */
export type Who = 'anyone' | 'any-token' | 'tenant' | 'admin';

type TenantOf<W extends Who> = W extends 'tenant'
  ? string
  : W extends 'any-token'
    ? string | undefined
    : undefined;

/** What a handler is given: everything checked, nothing of HTTP left. */
export interface Call<W extends Who, P, Q, B> {
  deps: AppDeps;
  /** For services: store, keys, who acts and the time. */
  context: W extends 'anyone' ? undefined : ServiceContext;
  tenantId: TenantOf<W>;
  /** Whether an admin token calls. */
  isAdmin: boolean;
  params: P;
  query: Q;
  body: B;
  /** What the client calls this request, so that it may be sent again; undefined without such a key. */
  idempotency: Idempotency | undefined;
}

/** An `Idempotency-Key` and what it stands for. */
export interface Idempotency {
  key: string;
  /** SHA-256 of the body, and of the tenant where the URL or the token names one. */
  hash: Buffer;
}

/** A call before its parts are validated. */
export interface RawCall {
  deps: AppDeps;
  context: ServiceContext | undefined;
  tenantId: string | undefined;
  isAdmin: boolean;
  params: unknown;
  query: unknown;
  body: unknown;
  idempotency: Idempotency | undefined;
}

/** What is said of a route for people and the OpenAPI document, and how its request is read. */
export interface RouteShape {
  method: 'get' | 'post' | 'put' | 'delete';
  /** With `{name}` for parameters. */
  path: string;
  who: Who;
  /** Whether the token may also come as `Authorization: Bearer`. */
  takesBearer?: boolean;
  /** One line for the OpenAPI document. */
  summary: string;
  description?: string;
  /** The parameters of the path. */
  params?: z.ZodObject;
  /** Parameters of the query; `tenant_id` is added where the route is about a tenant. */
  query?: z.ZodObject;
  /** Name of the path parameter that is a tenant's id, so that a token of another tenant is refused. */
  tenantParam?: string;
  /** Whether an `Idempotency-Key` is read. */
  takesIdempotencyKey?: true;
  /** The body; a route without one does not read it. */
  body?: z.ZodType;
  /** The body as the OpenAPI document shows it, where it is validated in other ways than by `body` alone. */
  bodyDoc?: z.ZodType;
  /** The answer, `ok` included. */
  answer: z.ZodType;
  /** Of the answer, where the handler makes a `Response` of its own. @defaultValue `application/json` */
  mediaType?: string;
  /** Codes of failures that are particular to this route. */
  errors?: readonly ErrorCode[];
}

/** A declared route, ready to be registered. */
export interface Route extends RouteShape {
  run(raw: RawCall): Promise<Response | object>;
}

type Output<S> = S extends z.ZodType ? z.output<S> : undefined;

/**
 * Declares a route: this is all that adding one takes. The handler's answer is sent as JSON with status 200, unless it
 * makes a `Response` of its own; failures are thrown as `MailProxyError`.
 */
export function defineRoute<
  W extends Who,
  A extends z.ZodType,
  P extends z.ZodObject | undefined = undefined,
  Q extends z.ZodObject | undefined = undefined,
  B extends z.ZodType | undefined = undefined,
>(
  declaration: Omit<RouteShape, 'who' | 'params' | 'query' | 'body' | 'answer'> & {
    who: W;
    params?: P;
    query?: Q;
    body?: B;
    answer: A;
    handler(call: Call<W, Output<P>, Output<Q>, Output<B>>): Promise<z.input<A> | Response>;
  },
): Route {
  const { handler, params, query, body, ...shape } = declaration;
  // A misspelt filter that is ignored would answer too much; probes of load balancers may append what they like.
  const strictQuery = (query ?? z.object({})).strict();
  const readQuery = (raw: unknown) =>
    shape.who === 'anyone' ? undefined : validate(strictQuery, raw, 'query');
  return {
    ...shape,
    ...(params === undefined ? {} : { params }),
    ...(query === undefined ? {} : { query }),
    ...(body === undefined ? {} : { body }),
    async run(raw) {
      const answer = await handler({
        deps: raw.deps,
        // The middleware in front of every route make these two what `who` says.
        context: raw.context as Call<W, unknown, unknown, unknown>['context'],
        tenantId: raw.tenantId as TenantOf<W>,
        isAdmin: raw.isAdmin,
        idempotency: raw.idempotency,
        params: (params === undefined ? undefined : validate(params, raw.params, 'path')) as Output<P>,
        query: readQuery(raw.query) as Output<Q>,
        body: (body === undefined ? undefined : validate(body, raw.body, 'body')) as Output<B>,
      });
      return answer as Response | object;
    },
  };
}

import type { IncomingMessage } from 'node:http';
import type { Context, MiddlewareHandler } from 'hono';
import type { Principal } from '../services/authenticate.js';
import type { Idempotency } from './route.js';

/** Who calls, once authenticated. */
export interface Caller {
  principal: Principal;
  /** Name of the token for logs: `admin`, or tenant and token name. Never the token. */
  tokenId: string;
}

/** What the middleware of one request tell each other. */
export interface AppEnv {
  /** What the Node adapter adds; absent when the app is called without a socket. */
  Bindings: { incoming?: IncomingMessage };
  Variables: {
    /** The declared path that matched, for logs; undefined for an unknown route. */
    route: string | undefined;
    /** Address of the client; empty when there is no socket. */
    address: string;
    /** Undefined on routes that need no token. */
    caller: Caller | undefined;
    /** The parsed body, not validated yet; undefined when there is none. */
    body: unknown;
    /** The request's key, with the hash once the body is read; undefined without the header or on a route that takes none. */
    idempotency: Idempotency | undefined;
    /** Whether the answer has the headers of every answer already. */
    isSecured: true | undefined;
    /** The tenant that the request is about; undefined is all, for an admin who names none. */
    tenantId: string | undefined;
  };
}

/** Middleware of the app. */
export type Middleware = MiddlewareHandler<AppEnv>;

/** One request, as middleware see it. */
export type AppContext = Context<AppEnv>;

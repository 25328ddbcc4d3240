import type { Middleware } from '../app-env.js';
import type { AppDeps } from '../deps.js';
import { requestHeader } from '../request-header.js';

/** Options of {@link accessLog}. */
export interface AccessLogOptions {
  log: AppDeps['log'];
  metrics: Pick<AppDeps['metrics'], 'requestDone'>;
  /** Works out the client's address from the peer's and the `X-Real-IP` header. */
  addressOf(peer: string | undefined, realIp: string | undefined): string;
}

/**
 * Makes the middleware that logs and measures each request: method, declared route, status, milliseconds, token id and address. Neither
 * the path as it came nor any header is logged: both may hold what somebody should not have put there.
 */
export function accessLog({ log, metrics, addressOf }: AccessLogOptions): Middleware {
  return async function logAccess(c, next) {
    const start = performance.now();
    const address = addressOf(c.env?.incoming?.socket.remoteAddress, requestHeader(c, 'x-real-ip'));
    c.set('address', address);
    await next();
    const route = c.get('route') ?? 'unknown route';
    const { method } = c.req;
    const { status } = c.res;
    const ms = performance.now() - start;
    metrics.requestDone(method, route, status, ms / 1000);
    const fields = {
      method,
      route,
      status,
      ms: Math.round(ms * 10) / 10,
      token: c.get('caller')?.tokenId ?? null,
      address,
    };
    // Once the answer is on its way: nobody waits for a line to be written.
    process.nextTick(() => log.info(`${method} ${route} ${status}`, fields));
  };
}

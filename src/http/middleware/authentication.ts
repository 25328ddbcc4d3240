import { MailProxyError } from '../../core/errors.js';
import type { FailureThrottle } from '../../core/failure-throttle.js';
import type { Actor } from '../../core/types.js';
import { MAX_TOKEN_BYTES } from '../../crypto/token.js';
import type { Authenticate, Principal } from '../../services/authenticate.js';
import type { AppContext, Middleware } from '../app-env.js';
import { bearerToken } from '../bearer-token.js';
import type { AppDeps } from '../deps.js';
import { headerText } from '../header-text.js';
import { requestHeader } from '../request-header.js';
import type { Who } from '../route.js';

/** Options of {@link authentication}. */
export interface AuthenticationOptions extends Pick<AppDeps, 'now' | 'log' | 'authAudit'> {
  who: Who;
  /** Whether the token may also come as `Authorization: Bearer`. @defaultValue false */
  takesBearer?: boolean | undefined;
  authenticate: Authenticate;
  /** Counts failures by address. */
  throttle: FailureThrottle;
  /** Whether a token's use is worth a log line now. */
  isFirstUse: (tokenId: string) => boolean;
}

/**
 * Makes the middleware that lets a request go on only with a token that the route is for. It belongs to the route
 * itself, not to a pattern of paths, so whatever spelling of a path reaches a handler has passed it. Nothing else of the
 * request has been looked at before.
 *
 * @throws MailProxyError `unauthorized` without a valid token, `forbidden` for a tenant's token on an admin route.
 */
export function authentication(options: AuthenticationOptions): Middleware {
  return async function requireToken(c, next) {
    if (options.who !== 'anyone') {
      const principal = await identify(c, options);
      if (options.who === 'admin' && principal.kind !== 'admin') {
        throw new MailProxyError('forbidden', 'This needs the admin token: a tenant token is not enough.');
      }
    }
    await next();
  };
}

async function identify(
  c: AppContext,
  { takesBearer, authenticate, now, log, isFirstUse, throttle, authAudit }: AuthenticationOptions,
): Promise<Principal> {
  const raw = requestHeader(c, 'x-api-token') ?? (takesBearer ? bearerToken(c) : undefined) ?? '';
  const address = c.get('address');
  // A valid token is recognised before any failure is counted: nobody else's attempts can lock its owner out.
  const principal = raw.length > MAX_TOKEN_BYTES ? undefined : await authenticate(headerText(raw), now());
  if (principal === undefined) {
    const what = raw === '' ? 'missing' : 'invalid';
    const retryAfter = throttle.failed(address, now());
    // What is refused for being too frequent is summed up in the trail, not logged line by line.
    if (retryAfter === undefined) log.warn(`API auth failed: ${what} token`, { address });
    authAudit.failed(address);
    if (retryAfter !== undefined) {
      c.header('Retry-After', String(retryAfter));
      throw new MailProxyError(
        'too_many_attempts',
        'Too many failed logins from this address: wait and use a valid token.',
      );
    }
    throw new MailProxyError(
      'unauthorized',
      raw === ''
        ? 'An API token is needed: send it in the header X-API-Token.'
        : 'The API token is unknown, expired or revoked.',
    );
  }
  const tokenId = principal.kind === 'admin' ? 'admin' : `${principal.tenantId}/${principal.tokenName}`;
  c.set('caller', { principal, tokenId });
  authAudit.succeeded(
    actorOf(principal, address),
    tokenId,
    principal.kind === 'tenant' ? principal.tokenPk : undefined,
  );
  if (isFirstUse(tokenId)) {
    const whose = principal.kind === 'admin' ? 'admin' : `tenant '${principal.tenantId}'`;
    log.info(`API auth successful for ${whose}`, { token: tokenId, address });
  }
  return principal;
}

/** The caller as the audit trail names him. */
export function actorOf(principal: Principal, address: string): Actor {
  return principal.kind === 'admin'
    ? { kind: 'admin-token', address }
    : { kind: 'tenant-token', tenantId: principal.tenantId, tokenName: principal.tokenName, address };
}

/** Makes the function that is true for the first use of each token in a minute. */
export function firstUsePerMinute(now: () => number): (tokenId: string) => boolean {
  let minute = Number.NaN;
  const seen = new Set<string>();
  return (tokenId) => {
    const current = Math.floor(now() / 60_000);
    if (current !== minute) {
      minute = current;
      seen.clear();
    }
    if (seen.has(tokenId)) return false;
    seen.add(tokenId);
    return true;
  };
}

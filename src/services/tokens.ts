import { MailProxyError } from '../core/errors.js';
import { isId } from '../core/ids.js';
import type { Millis } from '../core/types.js';
import { generateToken, hashToken, isTokenLength } from '../crypto/token.js';
import { tenantScope } from '../store/scope.js';
import type { StoredToken } from '../store/tokens.js';
import { changeBy, type ServiceContext } from './context.js';
import { tenantNotFound } from './tenants.js';

/** The token of the wire's one api-key. */
export const DEFAULT_TOKEN = 'default';

type WriteContext = Pick<ServiceContext, 'store' | 'actor' | 'now'>;

/** A token to be made. */
export interface TokenRequest {
  name: string;
  /** The operator's own choice; generated when undefined. */
  token?: string | undefined;
  expiresAt?: Millis | undefined;
  /** Whether one of that name dies; otherwise the name must be free. */
  replace: boolean;
}

/**
 * Makes a token of a tenant; only its hash is kept, so that it is shown once.
 *
 * @returns The token.
 * @throws MailProxyError `validation_failed`, `tenant_not_found`, `already_exists`.
 */
export async function createToken(
  context: WriteContext,
  tenantId: string,
  request: TokenRequest,
): Promise<string> {
  const { name, expiresAt, replace } = request;
  if (!isId(name)) {
    throw new MailProxyError(
      'validation_failed',
      'A token’s name is 1 to 64 letters, digits, dots, dashes or underscores.',
    );
  }
  if (expiresAt !== undefined && expiresAt <= context.now()) {
    throw new MailProxyError(
      'validation_failed',
      'The token would have expired already: give a time to come.',
    );
  }
  const token = request.token ?? generateToken('tenant');
  await refuseUnusableToken(context, token);
  await context.store.tokens.put(
    tenantScope(tenantId),
    { name, hash: hashToken(token), expiresAt: expiresAt ?? null },
    changeBy(context),
    { replace },
  );
  return token;
}

/** @throws MailProxyError `validation_failed` for a token of impossible length, `already_exists` for the admin's own. */
export async function refuseUnusableToken(
  { store }: Pick<ServiceContext, 'store'>,
  token: string,
): Promise<void> {
  if (!isTokenLength(token)) {
    throw new MailProxyError('validation_failed', 'A token is 1 to 512 bytes.', {
      issues: [{ path: 'token', message: 'A token is 1 to 512 bytes.' }],
    });
  }
  if ((await store.settings.get('admin_token_hash')) === hashToken(token)) {
    throw new MailProxyError('already_exists', 'That token is in use already: choose another.');
  }
}

/** Lists a tenant's tokens; never what opens anything. @throws MailProxyError `tenant_not_found`. */
export async function listTokens(
  { store }: Pick<ServiceContext, 'store'>,
  tenantId: string,
): Promise<StoredToken[]> {
  const scope = tenantScope(tenantId);
  if ((await store.tenants.get(scope)) === undefined) throw tenantNotFound(tenantId);
  return await store.tokens.list(scope);
}

/** Takes a token away; it opens nothing from now on. @throws MailProxyError `tenant_not_found`, `not_found`. */
export async function revokeToken(context: WriteContext, tenantId: string, name: string): Promise<void> {
  const scope = tenantScope(tenantId);
  if ((await context.store.tenants.get(scope)) === undefined) throw tenantNotFound(tenantId);
  if (!(await context.store.tokens.revoke(scope, name, changeBy(context)))) {
    throw new MailProxyError(
      'not_found',
      `The tenant "${tenantId}" has no token of this name: see "tokens list".`,
    );
  }
}

/**
 * Makes a new admin token; the old one is dead at once.
 *
 * @throws MailProxyError `token_missing` while the token comes from the environment, where it has to be changed.
 */
export async function rotateAdminToken(context: WriteContext): Promise<string> {
  if ((await context.store.settings.get('admin_token_source')) === 'environment') {
    throw new MailProxyError(
      'token_missing',
      'The admin token comes from GMP_API_TOKEN, which this cannot change: set another there and restart.',
    );
  }
  const token = generateToken('admin');
  await context.store.settings.set('admin_token_hash', hashToken(token), changeBy(context));
  return token;
}

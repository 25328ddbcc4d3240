import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import { generateToken, hashToken, isTokenLength } from '../crypto/token.js';
import type { Store } from '../store/store.js';

/** Tokens shorter than this are accepted and warned about. */
const SHORT_TOKEN = 16;

/** What became of the admin token at a daemon's start. */
export interface SettledAdminToken {
  /** The token that was made just now: it is shown once and kept nowhere. */
  generated: string | undefined;
  warnings: string[];
}

/**
 * Whether a daemon could settle its admin token; changes nothing.
 *
 * @throws MailProxyError as {@link settleAdminToken} would.
 */
export async function checkAdminToken(
  store: Store,
  given: { token: string } | undefined,
  { mayCreate }: { mayCreate: boolean },
): Promise<void> {
  if (given === undefined) {
    if (mayCreate || (await store.settings.get('admin_token_hash')) !== undefined) return;
    throw new MailProxyError(
      'token_missing',
      'There is no admin token: set GMP_API_TOKEN, or run "mail-proxy start", which makes one.',
    );
  }
  if (!isTokenLength(given.token)) {
    throw new MailProxyError(
      'validation_failed',
      'The admin token must be 1 to 512 bytes: check GMP_API_TOKEN or --api-token.',
    );
  }
  if ((await store.tokens.findByHash(hashToken(given.token))) !== undefined) {
    throw new MailProxyError('already_exists', 'The admin token is in use by a tenant: choose another.');
  }
}

/**
 * Makes sure that a daemon has an admin token: the one given replaces the stored hash; without either one is made, or
 * the daemon does not serve.
 *
 * @throws MailProxyError `token_missing` when there is none and none may be made, `validation_failed` for one that is
 * empty or too long, `already_exists` when a tenant has it.
 */
export async function settleAdminToken(
  store: Store,
  given: { token: string; fromEnvironment: boolean } | undefined,
  options: { mayCreate: boolean; by: Change },
): Promise<SettledAdminToken> {
  await checkAdminToken(store, given, options);
  const stored = await store.settings.get('admin_token_hash');
  if (given === undefined) {
    await store.settings.tell('admin_token_source', 'stored');
    if (stored !== undefined) return { generated: undefined, warnings: [] };
    const token = generateToken('admin');
    await store.settings.set('admin_token_hash', hashToken(token), options.by);
    return { generated: token, warnings: [] };
  }
  await store.settings.tell('admin_token_source', given.fromEnvironment ? 'environment' : 'stored');
  const hash = hashToken(given.token);
  if (stored !== hash) await store.settings.set('admin_token_hash', hash, options.by);
  const short = Buffer.byteLength(given.token) < SHORT_TOKEN;
  return {
    generated: undefined,
    warnings: short ? [`The admin token is shorter than ${SHORT_TOKEN} bytes and easy to guess.`] : [],
  };
}

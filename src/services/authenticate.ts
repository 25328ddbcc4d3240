import { equalHashes, hashToken, isTokenLength } from '../crypto/token.js';
import type { Store } from '../store/store.js';
import type { StoredToken } from '../store/tokens.js';

/** Who a token belongs to. */
export type Principal =
  | { kind: 'admin' }
  | { kind: 'tenant'; tenantId: string; tokenName: string; tokenPk: number };

/**
 * Finds out whose token this is. Its length is bounded before it is hashed; hashes are compared in constant time.
 *
 * @returns Undefined for a token that is unknown, expired, or of a tenant that is not active.
 */
export type Authenticate = (token: string, now: number) => Promise<Principal | undefined>;

/** Tokens in use that are remembered between requests. */
const MOST_REMEMBERED = 1000;

/**
 * Makes {@link Authenticate} over a store. What it found is remembered as long as nothing was configured anew: the generation,
 * which every change of a token, a tenant or a setting moves, is read each time.
 */
export function authenticator(store: Store): Authenticate {
  let generation = -1;
  let admin: string | undefined;
  const remembered = new Map<string, StoredToken>();

  const find = async (hash: string, current: number): Promise<StoredToken | undefined> => {
    const known = remembered.get(hash);
    if (known !== undefined) return known;
    const found = await store.tokens.findByHash(hash);
    // What was found before another request saw a change is not remembered after it.
    if (found !== undefined && current === generation && remembered.size < MOST_REMEMBERED)
      remembered.set(hash, found);
    return found;
  };

  return async (token, now) => {
    if (!isTokenLength(token)) return undefined;
    const current = await store.settings.generation();
    if (current !== generation) {
      remembered.clear();
      admin = await store.settings.get('admin_token_hash');
      generation = current;
    }
    const hash = hashToken(token);
    if (admin !== undefined && equalHashes(admin, hash)) return { kind: 'admin' };
    const found = await find(hash, current);
    if (found === undefined || !equalHashes(found.hash, hash)) return undefined;
    if (!found.tenantActive || (found.expiresAt !== null && found.expiresAt <= now)) return undefined;
    return { kind: 'tenant', tenantId: found.tenantId, tokenName: found.name, tokenPk: found.pk };
  };
}

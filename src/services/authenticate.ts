import { equalHashes, hashToken, isTokenLength } from '../crypto/token.js';
import type { Store } from '../store/store.js';

/** Who a token belongs to. */
export type Principal =
  | { kind: 'admin' }
  | { kind: 'tenant'; tenantId: string; tokenName: string; tokenPk: number };

/**
 * Finds out whose token this is. Its length is bounded before it is hashed; hashes are compared in constant time.
 *
 * @returns Undefined for a token that is unknown, expired, or of a tenant that is not active.
 */
export async function authenticate(store: Store, token: string, now: number): Promise<Principal | undefined> {
  if (!isTokenLength(token)) return undefined;
  const hash = hashToken(token);
  const admin = await store.settings.get('admin_token_hash');
  if (admin !== undefined && equalHashes(admin, hash)) return { kind: 'admin' };
  const found = await store.tokens.findByHash(hash);
  if (found === undefined || !equalHashes(found.hash, hash)) return undefined;
  if (!found.tenantActive || (found.expiresAt !== null && found.expiresAt <= now)) return undefined;
  return { kind: 'tenant', tenantId: found.tenantId, tokenName: found.name, tokenPk: found.pk };
}

import { randomBytes } from 'node:crypto';
import { MailProxyError } from '../core/errors.js';
import type { Change, SealedSecret } from '../core/types.js';
import { auditKeyAdditionalData } from '../crypto/binding.js';
import type { Keyring } from '../crypto/keyring.js';
import type { Store } from '../store/store.js';

const KEY_BYTES = 32;

/** Opens the key of one chain. @throws MailProxyError `key_missing` or `credential_unreadable`. */
export function openChainKey(keyring: Keyring, { chain, key }: { chain: number; key: SealedSecret }): Buffer {
  return Buffer.from(
    keyring.open(key, auditKeyAdditionalData(chain), `The key of audit chain ${chain}`),
    'base64',
  );
}

/**
 * Opens the newest chain, so that changes can be made and written to it.
 *
 * @returns False when there is none, or its key does not open here: nothing that is audited can be changed then.
 */
export async function unlockAudit(store: Store, keyring: Keyring): Promise<boolean> {
  const newest = await store.audit.newestChain();
  if (newest === undefined) return false;
  try {
    store.audit.unlock(openChainKey(keyring, newest), newest.chain);
    return true;
  } catch (error) {
    if (error instanceof MailProxyError) return false;
    throw error;
  }
}

/** Begins a new chain under a key of its own, sealed like any secret. */
export async function beginAuditChain(
  store: Store,
  keyring: Keyring,
  by: Change,
  reason: string | undefined,
): Promise<number> {
  const chain = ((await store.audit.newestChain())?.chain ?? 0) + 1;
  const key = randomBytes(KEY_BYTES);
  const sealed = keyring.seal(key.toString('base64'), auditKeyAdditionalData(chain));
  await store.audit.begin(chain, key, sealed, by, reason === undefined ? {} : { reason });
  return chain;
}

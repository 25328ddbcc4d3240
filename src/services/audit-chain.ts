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

/**
 * Begins a new chain under a key of its own, sealed like any secret. Its first record, which the new key signs, names the chains
 * before it whose keys do not open: only those may be unverifiable later, and nothing waits for their keys any more.
 */
export async function beginAuditChain(
  store: Store,
  keyring: Keyring,
  by: Change,
  reason: string | undefined,
): Promise<number> {
  const before = await store.audit.chains();
  const givenUp = before.filter((chain) => !opens(keyring, chain)).map(({ chain }) => chain);
  const chain = (before.at(-1)?.chain ?? 0) + 1;
  const key = randomBytes(KEY_BYTES);
  const sealed = keyring.seal(key.toString('base64'), auditKeyAdditionalData(chain));
  const detail = {
    ...(reason === undefined ? {} : { reason }),
    ...(givenUp.length === 0 ? {} : { given_up: givenUp }),
  };
  await store.audit.begin(chain, key, sealed, by, detail, givenUp);
  return chain;
}

function opens(keyring: Keyring, chain: { chain: number; key: SealedSecret }): boolean {
  try {
    openChainKey(keyring, chain);
    return true;
  } catch (error) {
    if (error instanceof MailProxyError) return false;
    throw error;
  }
}

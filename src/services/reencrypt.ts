import { setImmediate as nextTurn } from 'node:timers/promises';
import { MailProxyError } from '../core/errors.js';
import type { Keyring } from '../crypto/keyring.js';
import { additionalDataOf, describePlace } from '../crypto/secret-place.js';
import type { StoredSecret } from '../store/secrets.js';
import type { Store } from '../store/store.js';

/** Secrets in one transaction: it stays far under 20 ms. */
const BATCH = 250;

/** A secret that does not open, and the likely reason. */
export interface UnreadableSecret {
  what: string;
  keyId: string;
  reason: string;
}

/**
 * Puts every secret down under the primary key, in bounded transactions. It may be ended at any moment and run again:
 * each secret is at every moment under a key that opens it.
 *
 * @param onProgress - Called after each batch with how many are done in all.
 * @returns How many were written.
 * @throws MailProxyError `credential_unreadable` or `key_missing` when one does not open; what was written stays.
 */
export async function reencryptAll(
  store: Store,
  keyring: Keyring,
  onProgress: (done: number) => void,
): Promise<number> {
  const primary = keyring.primaryId;
  if (primary === undefined || !keyring.canSeal) {
    throw new MailProxyError('key_missing', 'The primary key is not available here: nothing was changed.');
  }
  let done = 0;
  for (;;) {
    const secrets = await store.secrets.notUnder(primary, BATCH);
    if (secrets.length === 0) return done;
    done += await store.secrets.reseal(secrets.map((from) => ({ from, to: reseal(keyring, from) })));
    onProgress(done);
    await nextTurn();
  }
}

function reseal(keyring: Keyring, { place, sealed }: StoredSecret) {
  const bound = additionalDataOf(place);
  return keyring.seal(keyring.open(sealed, bound, capital(describePlace(place))), bound);
}

/** Opens every secret, and names those that do not, with the likely reason. */
export async function verifySecrets(
  store: Store,
  keyring: Keyring,
): Promise<{ checked: number; unreadable: UnreadableSecret[] }> {
  let checked = 0;
  const unreadable: UnreadableSecret[] = [];
  for await (const step of store.secrets.readAll(BATCH)) {
    for (const { place, sealed } of step) {
      checked++;
      const what = describePlace(place);
      try {
        keyring.open(sealed, additionalDataOf(place), capital(what));
      } catch (error) {
        if (!(error instanceof MailProxyError)) throw error;
        const reason =
          error.code === 'key_missing'
            ? `key ${sealed.keyId} is not available`
            : 'it was moved from another row, edited, or what it is bound to (host, port, TLS, user) was changed outside mail-proxy';
        unreadable.push({ what, keyId: sealed.keyId, reason });
      }
    }
    await nextTurn();
  }
  return { checked, unreadable };
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

import { Keyring } from '../crypto/keyring.js';
import { unlockAudit } from '../services/audit-chain.js';
import { type KeyPlaces, loadKeyring } from '../services/unlock-keys.js';
import type { Store } from '../store/store.js';

/**
 * The keys of a running daemon. It rereads its sources when the configuration changed, and publishes the ids that it holds: a
 * key becomes primary only once the daemon has it.
 */
export class LiveKeyring {
  readonly #store: Store;
  readonly #places: KeyPlaces;
  #current: Keyring;
  #published = '';

  constructor(store: Store, places: KeyPlaces, first: Keyring) {
    this.#store = store;
    this.#places = places;
    this.#current = first;
  }

  /** The keys as they were read last. */
  get current(): Keyring {
    return this.#current;
  }

  /** Tells other processes which keys this one holds. */
  async publish(): Promise<void> {
    const ids = JSON.stringify([...this.#current.ids].sort());
    if (ids === this.#published) return;
    await this.#store.settings.tell('daemon_key_ids', ids);
    this.#published = ids;
  }

  /** Reads the sources again. @throws MailProxyError when one of them has become unusable; the old keys stay then. */
  async reload(): Promise<void> {
    const read = await loadKeyring(this.#store, this.#places);
    const retired = new Set(
      (await this.#store.keys.list()).filter(({ retiredAt }) => retiredAt !== null).map(({ id }) => id),
    );
    // A source that was replaced in place before the restart takes no key away that secrets may still be under.
    const held = this.#current.keys.filter(({ id }) => !read.has(id) && !retired.has(id));
    this.#current = new Keyring([...read.keys, ...held], read.primaryId);
    // A new chain may have been begun from outside.
    await unlockAudit(this.#store, this.#current);
    await this.publish();
  }
}

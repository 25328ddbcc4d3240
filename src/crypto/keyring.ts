import { MailProxyError } from '../core/errors.js';
import type { SealedSecret } from '../core/types.js';
import type { SourcedKey } from './key-sources.js';
import { openSecret, SecretBoxError, sealSecret } from './secret-box.js';

/**
 * The keys this process has. Writes use the primary, whose id the store records; reads use whichever key the row
 * names.
 */
export class Keyring {
  readonly #keys: ReadonlyMap<string, SourcedKey>;
  readonly #primaryId: string | undefined;

  /**
   * @param keys - In order of priority, as `findKeys` returns them.
   * @param primaryId - The key id recorded as primary in the store; undefined when none is.
   */
  constructor(keys: readonly SourcedKey[], primaryId: string | undefined) {
    const byId = new Map<string, SourcedKey>();
    for (const key of keys) if (!byId.has(key.id)) byId.set(key.id, key);
    this.#keys = byId;
    this.#primaryId = primaryId;
  }

  /** The recorded primary, whether this process has it or not. */
  get primaryId(): string | undefined {
    return this.#primaryId;
  }

  /** Whether new secrets can be sealed here. */
  get canSeal(): boolean {
    return this.#primaryId !== undefined && this.#keys.has(this.#primaryId);
  }

  /** The key of the strongest source, which a daemon makes primary at its start. */
  get first(): SourcedKey | undefined {
    return [...this.#keys.values()].find((key) => key.kind !== 'previous');
  }

  /** The keys at hand, in order of priority. */
  get keys(): SourcedKey[] {
    return [...this.#keys.values()];
  }

  /** A ring of one key alone, to prove that it is enough. */
  only(id: string): Keyring {
    return new Keyring(
      this.keys.filter((key) => key.id === id),
      this.#primaryId,
    );
  }

  /** Ids of all keys at hand. */
  get ids(): string[] {
    return [...this.#keys.keys()];
  }

  /** Whether a row under this key could be opened. */
  has(keyId: string): boolean {
    return this.#keys.has(keyId);
  }

  /**
   * Seals a secret under the primary key.
   *
   * @param primaryId - The primary as the store has it at this moment; this ring's own when left out.
   *
   * @throws MailProxyError `key_missing` when this process does not have the primary key.
   */
  seal(plaintext: string, additionalData: string, primaryId = this.#primaryId): SealedSecret {
    const primary = primaryId === undefined ? undefined : this.#keys.get(primaryId);
    if (primary === undefined) {
      throw new MailProxyError(
        'key_missing',
        primaryId === undefined
          ? 'This server has no encryption key yet: run "mail-proxy start", or set MAIL_PROXY_ENCRYPTION_KEY to the output of "mail-proxy keygen".'
          : `The encryption key ${primaryId} is not available to this command: set MAIL_PROXY_ENCRYPTION_KEY (or MAIL_PROXY_ENCRYPTION_KEY_FILE) to it, or set GMP_API_TOKEN to go through the running daemon.`,
      );
    }
    return { value: sealSecret(primary.key, plaintext, additionalData), keyId: primary.id };
  }

  /**
   * Opens a stored secret.
   *
   * @throws MailProxyError `key_missing` when its key is not here, `credential_unreadable` when the key is here but
   * the value does not open in this place (edited, moved from another row, or bound to another server).
   */
  open(sealed: SealedSecret, additionalData: string, what: string): string {
    const key = this.#keys.get(sealed.keyId);
    if (key === undefined) {
      throw new MailProxyError(
        'key_missing',
        `${what} is encrypted under key ${sealed.keyId}, which is not available here.`,
      );
    }
    try {
      return openSecret(key.key, sealed.value, additionalData);
    } catch (error) {
      if (!(error instanceof SecretBoxError)) throw error;
      throw new MailProxyError(
        'credential_unreadable',
        `${what} does not open: ${error.message}. The row was moved or edited outside mail-proxy; set the secret again.`,
      );
    }
  }
}

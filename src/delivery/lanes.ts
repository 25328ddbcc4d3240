import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import type { Millis } from '../core/types.js';
import { openPassword } from '../crypto/account-password.js';
import type { Keyring } from '../crypto/keyring.js';
import type { StoredAccount } from '../store/accounts.js';
import type { Lane as LaneKey } from '../store/claim-types.js';
import type { Store } from '../store/store.js';
import type { DestinationGuard } from './destination-guard.js';
import { Lane } from './lane.js';
import { SessionPool } from './session-pool.js';

/** What the lanes of a daemon work with. */
export interface LanesOptions {
  store: Store;
  keyring(): Keyring;
  /** Reads the sources of keys again: one may have been added since. */
  reloadKeys(): Promise<void>;
  /** Unix milliseconds. */
  now(): Millis;
  log: Log;
  /** For destinations that tenants chose. */
  guard: DestinationGuard;
}

/** The lanes of a daemon, one an account, each kept in step with its account. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #byAccount = new Map<number, Lane>();

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  /** A lane as it was last; undefined before its first message. */
  get(accountPk: number): Lane | undefined {
    return this.#byAccount.get(accountPk);
  }

  /** All of them. */
  values(): IterableIterator<Lane> {
    return this.#byAccount.values();
  }

  /** Accounts may have been changed or deleted: connections that are no longer theirs are given up. */
  async noticeChanges(): Promise<void> {
    for (const lane of [...this.#byAccount.values()]) {
      const account = await this.#options.store.accounts.getForDispatch(lane.accountPk);
      if (account === undefined) this.#drop(lane);
      else if (lane.pool !== undefined) await this.#connectIfChanged(lane, account);
    }
  }

  /** The lane of an account as it is now; undefined while the account cannot be used. */
  async upToDate(key: LaneKey): Promise<Lane | undefined> {
    const account = await this.#options.store.accounts.getForDispatch(key.accountPk);
    if (account === undefined || account.tenantId !== key.tenantId) return undefined;
    let lane = this.#byAccount.get(key.accountPk);
    if (lane === undefined) {
      lane = new Lane(key.accountPk, key.tenantId);
      this.#byAccount.set(key.accountPk, lane);
    }
    return (await this.#connectIfChanged(lane, account)) ? lane : undefined;
  }

  /** Gives a lane connections of the account as it is now. False while its password does not open. */
  async #connectIfChanged(lane: Lane, account: StoredAccount): Promise<boolean> {
    const endpoint = endpointOf(account);
    const isSame =
      lane.pool !== undefined &&
      lane.credentialVersion === account.credentialVersion &&
      lane.maxConnections === account.maxConnections &&
      lane.endpoint === endpoint;
    const sealed = account.password?.value ?? null;
    if (isSame && lane.sealed === sealed) return true;
    let password: string | null;
    try {
      password = await this.#openPassword(account);
    } catch (error) {
      if (!(error instanceof MailProxyError)) throw error;
      lane.replacePool(undefined);
      if (lane.held !== error.message) await this.#tellHeld(account, error);
      lane.held = error.message;
      return false;
    }
    // A rotation seals the same password anew: connections live on.
    if (!isSame) {
      lane.replacePool(this.#connect(account, password));
      lane.probeNow();
    }
    lane.held = undefined;
    lane.account = account;
    lane.endpoint = endpoint;
    lane.sealed = sealed;
    lane.maxConnections = account.maxConnections;
    lane.credentialVersion = account.credentialVersion;
    return true;
  }

  async #openPassword(account: StoredAccount): Promise<string | null> {
    const { keyring, reloadKeys } = this.#options;
    try {
      return openPassword(keyring(), account);
    } catch (error) {
      if (!(error instanceof MailProxyError) || error.code !== 'key_missing') throw error;
      await reloadKeys();
      return openPassword(keyring(), account);
    }
  }

  /** A password that was moved, edited or pointed elsewhere is never used; the account is held, and the trail says so. */
  async #tellHeld({ id, tenantId }: StoredAccount, { code, message }: MailProxyError): Promise<void> {
    const { store, log, now } = this.#options;
    log.error(`Account '${id}' of tenant '${tenantId}' is held: ${message}`);
    await store.audit
      .append(
        [
          {
            event: 'account.held',
            actor: { kind: 'daemon' },
            tenantId,
            subject: id,
            detail: { reason: code },
          },
        ],
        now(),
      )
      .catch((error: unknown) =>
        log.error('That the account is held could not be written to the audit trail', { err: error }),
      );
  }

  #connect(account: StoredAccount, password: string | null): SessionPool {
    const { host, port, tls, tlsVerify, tlsCa, user, setBy } = account;
    const guarded = setBy === 'tenant' ? { guard: this.#options.guard } : {};
    return new SessionPool(
      { host, port, tls, tlsVerify, tlsCa, user, password, ...guarded },
      { maxConnections: account.maxConnections },
    );
  }

  /** Its connections and its password go as soon as what it carries is sent; a key of the store is never given out again. */
  #drop(lane: Lane): void {
    void lane.close().finally(() => this.#byAccount.delete(lane.accountPk));
  }
}

/** Where an account's mail goes and who chose it: also what was changed outside mail-proxy is noticed. */
function endpointOf({ host, port, tls, tlsVerify, tlsCa, user, setBy }: StoredAccount): string {
  return JSON.stringify([host, port, tls, tlsVerify, tlsCa, user, setBy]);
}

import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import type { Millis } from '../core/types.js';
import { openPassword } from '../crypto/account-password.js';
import type { Keyring } from '../crypto/keyring.js';
import type { StoredAccount } from '../store/accounts.js';
import type { Lane as LaneKey } from '../store/claim-types.js';
import type { Store } from '../store/store.js';
import { Lane } from './lane.js';
import type { Connections, Sender } from './sender.js';

/** What the lanes of a daemon work with. */
export interface LanesOptions {
  store: Store;
  keyring(): Keyring;
  /** Reads the sources of keys again: one may have been added since. */
  reloadKeys(): Promise<void>;
  /** Unix milliseconds. */
  now(): Millis;
  log: Log;
  /** Where connections are made. */
  sender: Sender;
}

/** A key that was missing may be put back where no change of the database tells of it. */
const LOOK_AGAIN_MS = 60_000;

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
      else if (lane.pool !== undefined || lane.held !== undefined)
        await this.#connectIfChanged(lane, account);
    }
  }

  /** The lane of an account, as {@link noticeChanges} left it; undefined while the account cannot be used. */
  async ready(key: LaneKey): Promise<Lane | undefined> {
    const known = this.#byAccount.get(key.accountPk);
    if (known?.pool !== undefined) return known;
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
      const isNews = lane.held !== error.message;
      lane.held = error.message;
      lane.limitedUntil = this.#options.now() + LOOK_AGAIN_MS;
      if (isNews) await this.#tellHeld(account, error);
      if (isNews) this.publish(lane);
      return false;
    }
    // A rotation seals the same password anew: connections live on.
    if (!isSame) {
      lane.replacePool(this.#connect(account, password));
      lane.probeNow();
    }
    const wasHeld = lane.held !== undefined;
    lane.held = undefined;
    if (!isSame || wasHeld) this.publish(lane);
    lane.account = account;
    lane.endpoint = endpoint;
    lane.sealed = sealed;
    lane.maxConnections = account.maxConnections;
    lane.credentialVersion = account.credentialVersion;
    return true;
  }

  /** Lets others know why a lane stands still, or that it does no more; nothing waits for it. */
  publish(lane: Lane): void {
    this.#options.store.laneStates
      .note(lane.accountPk, lane.state)
      .catch((error: unknown) =>
        this.#options.log.error('The state of a lane could not be written', { err: error }),
      );
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

  #connect(account: StoredAccount, password: string | null): Connections {
    const { host, port, tls, tlsVerify, tlsCa, user, setBy, maxConnections } = account;
    const isGuarded = setBy === 'tenant';
    return this.#options.sender.open(
      { host, port, tls, tlsVerify, tlsCa, user, password, isGuarded },
      { maxConnections },
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

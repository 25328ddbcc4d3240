import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { SmtpFailure } from '../core/smtp-outcome.js';
import type { ComposedMessage, Millis, RandomSource } from '../core/types.js';
import { judgeFailure } from '../core/verdict.js';
import { openPassword } from '../crypto/account-password.js';
import type { Keyring } from '../crypto/keyring.js';
import type { StoredAccount } from '../store/accounts.js';
import type { Claim, Lane as LaneKey, Settlement } from '../store/claim-types.js';
import type { Store } from '../store/store.js';
import type { DestinationGuard } from './destination-guard.js';
import { explainFailure } from './explain-failure.js';
import { Lane } from './lane.js';
import { composeMime } from './mime.js';
import { SessionPool } from './session-pool.js';
import { failureOf, releaseOf, settlementOf } from './settlement.js';

/** What a dispatcher works with. */
export interface DispatcherOptions {
  store: Store;
  keyring(): Keyring;
  /** Reads the sources of keys again: one may have been added since. */
  reloadKeys(): Promise<void>;
  /** Unix milliseconds. */
  now(): Millis;
  random: RandomSource;
  log: Log;
  /** For destinations that tenants chose. */
  guard: DestinationGuard;
  /** Name of this process in the claims it makes. */
  owner: string;
}

const LEASE_MS = 20 * 60_000;
const RENEW_EVERY_MS = 5 * 60_000;
const PROMOTE_STEP = 500;
const MOST_IN_FLIGHT = 256;
const LONGEST_SLEEP_MS = 60_000;
const SETTLE_RETRY_MS = 1000;

/** Thrown in place of the mark when a newer claim has the message: its body must not go out. */
class ClaimLost extends Error {}

/**
 * Drains the queue: claims what is due, sends it, settles the result. It runs when something may be due (a message
 * arrived, a connection became free, a time came) and sleeps otherwise.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #lanes = new Map<number, Lane>();
  readonly #deliveries = new Map<Promise<void>, Claim>();
  #pumping: Promise<void> | undefined;
  #again = false;
  #stopping = false;
  #started = false;
  #timer: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #turn = 0;
  #generation = 0;
  #limitsForgotten = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Whether it claims messages. */
  get active(): boolean {
    return this.#started && !this.#stopping;
  }

  /** Frees what an earlier daemon left claimed, then begins to send. The caller holds the server's lock. */
  async start(): Promise<void> {
    const { store, now, random, log } = this.#options;
    const { freed, retried, held } = await store.claims.recover(now(), 'all', random);
    if (freed + retried + held > 0) {
      log.warn(
        `Recovered ${freed} unsent, ${retried} uncertain to be sent again and ${held} uncertain held message(s)`,
      );
    }
    this.#renewal = setInterval(() => {
      store.claims
        .renewLeases([...this.#deliveries.values()], now() + LEASE_MS)
        .then(() => store.claims.recover(now(), 'expired', random))
        .catch((error: unknown) => log.error('Leases could not be renewed', { err: error }));
    }, RENEW_EVERY_MS).unref();
    this.#started = true;
    this.wake();
  }

  /** Something may be due. Cheap; may be called as often as one likes. */
  wake(): void {
    if (!this.active) return;
    if (this.#pumping !== undefined) {
      this.#again = true;
      return;
    }
    this.#pumping = this.#pump().finally(() => {
      this.#pumping = undefined;
      if (this.#again) {
        this.#again = false;
        this.wake();
      }
    });
  }

  /** Tries lanes that wait after trouble at once, all or one tenant's. */
  runNow(tenantId?: string): void {
    for (const lane of this.#lanes.values())
      if (tenantId === undefined || lane.tenantId === tenantId) lane.probeNow();
    this.wake();
  }

  /**
   * Claims nothing more, lets what is being sent finish, and closes all connections.
   *
   * @param deadlineMs - After this long connections are cut; what was being handed over is then settled as uncertain.
   */
  async stop(deadlineMs: Millis): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    clearInterval(this.#renewal);
    const pools = () => [...this.#lanes.values()].flatMap((lane) => lane.pools);
    const deadline = setTimeout(() => {
      for (const pool of pools()) void pool.destroy();
    }, deadlineMs);
    await this.#pumping;
    await Promise.allSettled(this.#deliveries.keys());
    await Promise.allSettled(pools().map((pool) => pool.drain()));
    clearTimeout(deadline);
  }

  async #pump(): Promise<void> {
    const { store, now, log } = this.#options;
    clearTimeout(this.#timer);
    let wakeAt = now() + LONGEST_SLEEP_MS;
    try {
      await this.#noticeChanges();
      await this.#promote();
      for (const key of this.#inTurn(await store.claims.lanesReady())) {
        if (this.#stopping) return;
        wakeAt = Math.min(wakeAt, (await this.#fillOrLog(key)) ?? wakeAt);
      }
      wakeAt = Math.min(wakeAt, (await store.claims.nextDueAt()) ?? wakeAt);
    } catch (error) {
      // A full disk or a locked database passes; sending resumes by itself when it has.
      log.error(error instanceof MailProxyError ? error.message : 'The queue could not be read', {
        err: error,
      });
      wakeAt = now() + SETTLE_RETRY_MS;
    }
    if (this.#stopping) return;
    const wait = Math.min(Math.max(wakeAt - now(), 1), LONGEST_SLEEP_MS);
    this.#timer = setTimeout(() => this.wake(), wait).unref();
  }

  /** Limits may have been raised since a lane was told to wait, accounts been changed or deleted. */
  async #noticeChanges(): Promise<void> {
    const { store } = this.#options;
    const generation = await store.settings.generation();
    if (generation === this.#generation) return;
    this.#forgetLimits();
    for (const lane of this.#lanes.values()) {
      const account = await store.accounts.getForDispatch(lane.accountPk);
      if (account === undefined) this.#dropLane(lane);
      else if (lane.pool !== undefined) this.#connectIfChanged(lane, account);
    }
    this.#generation = generation;
  }

  /** Its connections and its password go as soon as what it carries is sent; a key of the store is never given out again. */
  #dropLane(lane: Lane): void {
    void lane.close().finally(() => this.#lanes.delete(lane.accountPk));
  }

  /** Lanes ask the store again: of one tenant, since it may have a limit over all of them, or all. */
  #forgetLimits(tenantId?: string): void {
    this.#limitsForgotten++;
    for (const lane of this.#lanes.values()) {
      if (tenantId === undefined || lane.tenantId === tenantId) lane.limitedUntil = 0;
    }
  }

  async #promote(): Promise<void> {
    const { store, now } = this.#options;
    const next = await store.claims.nextDueAt();
    if (next === undefined || next > now()) return;
    const { promoted, expired } = await store.claims.promoteDue(now(), PROMOTE_STEP);
    if (promoted === PROMOTE_STEP || expired === PROMOTE_STEP) this.#again = true;
  }

  /** Every lane is first in its turn, so that none is always served last. */
  #inTurn(keys: LaneKey[]): LaneKey[] {
    if (keys.length === 0) return keys;
    const first = this.#turn++ % keys.length;
    return [...keys.slice(first), ...keys.slice(0, first)];
  }

  /** One lane's own failure stops none behind it; the store's stops the round. */
  async #fillOrLog(key: LaneKey): Promise<Millis | undefined> {
    try {
      return await this.#fill(key);
    } catch (error) {
      if (error instanceof MailProxyError && error.code === 'store_unavailable') throw error;
      this.#options.log.error(`Account ${key.accountPk} of tenant '${key.tenantId}' cannot be served`, {
        err: error,
      });
      return this.#options.now() + SETTLE_RETRY_MS;
    }
  }

  /** Claims what one lane may send now. Returns when the lane may go on, if it stands still. */
  async #fill(key: LaneKey): Promise<Millis | undefined> {
    const { store, now, owner } = this.#options;
    // A lane that waits costs nothing: its account is not even looked at.
    const known = this.#lanes.get(key.accountPk);
    if (known !== undefined && known.capacity(now()) <= 0) return known.resumesAt(now());
    const lane = await this.#laneOf(key);
    if (lane === undefined) return undefined;
    const limit = Math.min(lane.capacity(now()), MOST_IN_FLIGHT - this.#deliveries.size);
    if (limit <= 0) return lane.resumesAt(now());
    const forgotten = this.#limitsForgotten;
    const { claims, limitedUntil, rejected } = await store.claims.claimDue(key, {
      limit,
      owner,
      now: now(),
      leaseMs: LEASE_MS,
    });
    // An answer from before the limits were forgotten is not remembered: the round after this one asks again.
    if (limitedUntil !== undefined && forgotten === this.#limitsForgotten) lane.limitedUntil = limitedUntil;
    if (rejected === limit) this.#again = true;
    for (const claim of claims) this.#begin(lane, claim);
    return limitedUntil;
  }

  #begin(lane: Lane, claim: Claim): void {
    lane.inFlight++;
    const delivery = this.#deliver(lane, claim).finally(() => {
      lane.inFlight--;
      this.#deliveries.delete(delivery);
      this.wake();
    });
    this.#deliveries.set(delivery, claim);
  }

  /** The lane's state brought up to date with its account; undefined while the account cannot be used. */
  async #laneOf(key: LaneKey): Promise<Lane | undefined> {
    const account = await this.#options.store.accounts.getForDispatch(key.accountPk);
    if (account === undefined || account.tenantId !== key.tenantId) return undefined;
    let lane = this.#lanes.get(key.accountPk);
    if (lane === undefined) {
      lane = new Lane(key.accountPk, key.tenantId);
      this.#lanes.set(key.accountPk, lane);
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

  async #deliver(lane: Lane, claim: Claim): Promise<void> {
    const { log } = this.#options;
    let settlement: Settlement;
    try {
      settlement = await this.#attempt(lane, claim);
    } catch (error) {
      if (error instanceof ClaimLost) return;
      // Nothing may spin on a poison message: what cannot be explained ends it, and says so.
      log.error(`Message '${claim.id}' of tenant '${claim.tenantId}' failed unexpectedly`, { err: error });
      settlement = failureOf(
        claim,
        'The message could not be sent because of an internal error; see the log.',
      );
    }
    await this.#settle(claim, settlement);
    // Charges that were given back may have been what the lanes of this tenant wait for.
    if (settlement.next.kind === 'release') this.#forgetLimits(claim.tenantId);
  }

  async #attempt(lane: Lane, claim: Claim): Promise<Settlement> {
    const { store, now, random, log } = this.#options;
    const pool = lane.pool;
    if (pool === undefined) return releaseOf(claim, null);
    const bytes = await contentOf(claim);
    const envelope = { from: claim.envelopeFrom, to: claim.recipients.map(({ address }) => address) };
    const mark = async (): Promise<void> => {
      if (!(await store.claims.markHandedOver(claim.pk, claim.claim))) throw new ClaimLost();
    };
    try {
      const outcome = await pool.send(envelope, bytes, mark);
      if (pool === lane.pool && lane.works()) {
        log.info(`Account '${lane.account.id}' of tenant '${lane.tenantId}' works again`);
      }
      // What went through a connection of before says nothing about the account as it is now.
      if (pool === lane.pool) this.#noteVerifiedTls(lane);
      return settlementOf(claim, outcome, { now: now(), random, server: lane.account });
    } catch (error) {
      if (error instanceof MailProxyError && error.code === 'cancelled') return releaseOf(claim, null);
      if (error instanceof MailProxyError && error.code === 'store_unavailable')
        return releaseOf(claim, error.message);
      if (!(error instanceof SmtpFailure) || judgeFailure(error).kind !== 'account-trouble') throw error;
      const reason = explainFailure(error, lane.account);
      // Trouble with a password that was changed meanwhile says nothing about the new one.
      if (pool === lane.pool && lane.trouble(now(), random)) {
        log.warn(`Account '${lane.account.id}' of tenant '${lane.tenantId}' waits: ${reason}`);
      }
      return releaseOf(claim, reason);
    }
  }

  /** Once for each version of an account that has delivered over verified TLS. */
  #noteVerifiedTls(lane: Lane): void {
    const { account, credentialVersion } = lane;
    if (account.tls === 'none' || !account.tlsVerify || account.verifiedTlsAt !== null) return;
    const { now, store, log } = this.#options;
    lane.account = { ...account, verifiedTlsAt: now() };
    // Beside the delivery: that it cannot be noted says nothing about the message.
    store.accounts
      .noteVerifiedTls(lane.accountPk, credentialVersion, now())
      .catch((error: unknown) => log.error('Verified TLS could not be noted', { err: error }));
  }

  /** Writes the result, however long the disk needs: a known outcome is never dropped while this process lives. */
  async #settle(claim: Claim, settlement: Settlement): Promise<void> {
    const { store, now, log } = this.#options;
    for (let told = false; ; told = true) {
      try {
        if (await store.claims.settle(settlement, now())) logOutcome(log, claim, settlement);
        return;
      } catch (error) {
        if (!told) log.error(`The outcome of message '${claim.id}' waits to be written`, { err: error });
        if (this.#stopping && told) return;
        // Only the disk's trouble passes by itself. Anything else ends with the lease, and the message is recovered.
        if (!(error instanceof MailProxyError) || error.code !== 'store_unavailable') return;
        await new Promise((resolve) => setTimeout(resolve, SETTLE_RETRY_MS));
      }
    }
  }
}

async function contentOf(claim: Claim): Promise<Buffer> {
  if (claim.contentKind === 'raw') return claim.content;
  return await composeMime(JSON.parse(claim.content.toString('utf8')) as ComposedMessage);
}

function logOutcome(log: Log, claim: Claim, { next }: Settlement): void {
  const message = `Message '${claim.id}' of tenant '${claim.tenantId}'`;
  switch (next.kind) {
    case 'final':
      log.debug(`${message} is settled`);
      break;
    case 'error':
      log.warn(`${message} ended in error: ${next.error}`);
      break;
    case 'retry':
      log.info(`${message} is tried again later: ${next.error}`);
      break;
    case 'uncertain':
      log.warn(`${message} is uncertain: ${next.error}`);
      break;
    case 'release':
      break;
  }
}

/** Where an account's mail goes and who chose it: also what was changed outside mail-proxy is noticed. */
function endpointOf({ host, port, tls, tlsVerify, tlsCa, user, setBy }: StoredAccount): string {
  return JSON.stringify([host, port, tls, tlsVerify, tlsCa, user, setBy]);
}

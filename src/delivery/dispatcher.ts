import { MailProxyError } from '../core/errors.js';
import type { Millis, RandomSource } from '../core/types.js';
import type { Claim, Lane as LaneKey } from '../store/claim-types.js';
import { Delivery } from './delivery.js';
import type { Lane } from './lane.js';
import { Lanes, type LanesOptions } from './lanes.js';

/** What a dispatcher works with. */
export interface DispatcherOptions extends LanesOptions {
  random: RandomSource;
  /** Name of this process in the claims it makes. */
  owner: string;
}

const LEASE_MS = 20 * 60_000;
const RENEW_EVERY_MS = 5 * 60_000;
const PROMOTE_STEP = 500;
const MOST_IN_FLIGHT = 256;
const LONGEST_SLEEP_MS = 60_000;
const SETTLE_RETRY_MS = 1000;

/**
 * Drains the queue: claims what is due, sends it, settles the result. It runs when something may be due (a message
 * arrived, a connection became free, a time came) and sleeps otherwise.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #delivery: Delivery;
  readonly #lanes: Lanes;
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
    const { store, now, random, log } = options;
    this.#lanes = new Lanes(options);
    this.#delivery = new Delivery({ store, now, random, log, isStopping: () => this.#stopping });
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
    await this.#lanes.noticeChanges();
    this.#generation = generation;
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
    const lane = await this.#lanes.upToDate(key);
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

  async #deliver(lane: Lane, claim: Claim): Promise<void> {
    const end = await this.#delivery.deliver(lane, claim);
    // Charges that were given back may have been what the lanes of this tenant wait for.
    if (end === 'release') this.#forgetLimits(claim.tenantId);
  }
}

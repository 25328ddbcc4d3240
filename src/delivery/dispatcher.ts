import { planClaims } from '../core/claim-plan.js';
import { MailProxyError } from '../core/errors.js';
import { failPoint } from '../core/fail-points.js';
import type { Millis, RandomSource } from '../core/types.js';
import type { Claimer } from '../store/claim-at-once.js';
import type { ByteBudget, Claim, ClaimResult, Lane as LaneKey } from '../store/claim-types.js';
import { Delivery } from './delivery.js';
import { type DeliveryEvents, NO_EVENTS } from './delivery-events.js';
import { InFlight } from './in-flight.js';
import type { Lane, LaneStanding } from './lane.js';
import { Lanes, type LanesOptions } from './lanes.js';
import { ReadyLanes } from './ready-lanes.js';

/** What a dispatcher works with. */
export interface DispatcherOptions extends LanesOptions {
  random: RandomSource;
  /** Name of this process in the claims it makes. */
  owner: string;
  /** Told what became of messages. */
  events?: DeliveryEvents;
}

/** What is claimed in one commit with what it stores. */
interface ClaimedAtOnce {
  lanes: Set<Lane>;
  budget: ByteBudget;
  /** Called when the commit has ended: what was begun in it and not taken was undone. */
  ended: Array<() => void>;
}

const LEASE_MS = 20 * 60_000;
const RENEW_EVERY_MS = 5 * 60_000;
const PROMOTE_STEP = 500;
const LONGEST_SLEEP_MS = 60_000;
const SETTLE_RETRY_MS = 1000;

/**
 * Drains the queue: claims what is due, sends it, settles the result. It runs when something may be due (a message
 * arrived, a connection became free, a time came) and sleeps otherwise.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #events: DeliveryEvents;
  readonly #delivery: Delivery;
  readonly #lanes: Lanes;
  readonly #ready = new ReadyLanes();
  readonly #inFlight = new InFlight();
  readonly #deliveries = new Set<Promise<void>>();
  #pumping: Promise<void> | undefined;
  #again = false;
  #news = true;
  #wantsRoom = false;
  #releasing = true;
  #stopping = false;
  #started = false;
  #timer: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #turn = 0;
  #generation = 0;
  #limitsForgotten = 0;
  #atOnce: ClaimedAtOnce | undefined;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    const { store, now, random, log, events = NO_EVENTS } = options;
    this.#events = events;
    this.#lanes = new Lanes(options);
    this.#delivery = new Delivery({
      store,
      now,
      random,
      log,
      events,
      isStopping: () => this.#stopping,
      onBreaker: (lane) => this.#breakerChanged(lane),
    });
  }

  /** Whether it claims messages. */
  get active(): boolean {
    return this.#started && !this.#stopping;
  }

  /** What the lanes of accounts that had something to send are doing now. */
  get standings(): Array<{ accountPk: number; standing: LaneStanding }> {
    const now = this.#options.now();
    return [...this.#lanes.values()].map((lane) => ({
      accountPk: lane.accountPk,
      standing: lane.standing(now),
    }));
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
    await store.laneStates.clear();
    this.#renewal = setInterval(() => {
      store.claims
        .renewLeases(this.#inFlight.claims(), now() + LEASE_MS)
        .then(() => store.claims.recover(now(), 'expired', random))
        .catch((error: unknown) => log.error('Leases could not be renewed', { err: error }));
    }, RENEW_EVERY_MS).unref();
    this.#started = true;
    store.claims.claimAtOnce((accountPk) => this.#wishAtOnce(accountPk));
    this.wake();
  }

  /** Something may be due: messages arrived or a setting changed. Cheap; may be called as often as one likes. */
  wake(): void {
    this.#news = true;
    this.#goOn();
  }

  /** Tries lanes that wait after trouble at once, all or one tenant's. */
  runNow(tenantId?: string): void {
    for (const lane of this.#lanes.values())
      if (tenantId === undefined || lane.tenantId === tenantId) lane.probeNow();
    this.#ready.rouse(tenantId);
    this.wake();
  }

  /**
   * Claims nothing more, gives back what has no connection yet, lets what is on one finish, and closes all connections.
   *
   * @param deadlineMs - After this long connections are cut; what was being handed over is then settled as uncertain.
   */
  async stop(deadlineMs: Millis): Promise<void> {
    this.#stopping = true;
    this.#options.store.claims.claimAtOnce(undefined);
    clearTimeout(this.#timer);
    clearInterval(this.#renewal);
    const pools = () => [...this.#lanes.values()].flatMap((lane) => lane.pools);
    const deadline = setTimeout(() => {
      for (const pool of pools()) void pool.destroy();
    }, deadlineMs);
    await this.#pumping;
    const drained = pools().map((pool) => pool.drain());
    await Promise.allSettled(this.#deliveries);
    await Promise.allSettled(drained);
    clearTimeout(deadline);
  }

  /** A connection became free, or there is news: looks again at what may be claimed. */
  #goOn(): void {
    if (!this.active) return;
    if (this.#pumping !== undefined) {
      this.#again = true;
      return;
    }
    this.#pumping = this.#pump().finally(() => {
      this.#pumping = undefined;
      if (this.#again) {
        this.#again = false;
        this.#goOn();
      }
    });
  }

  async #pump(): Promise<void> {
    const { store, now, log } = this.#options;
    clearTimeout(this.#timer);
    let wakeAt = now() + LONGEST_SLEEP_MS;
    try {
      await this.#noticeChanges();
      await this.#promote();
      await this.#releaseSuspended();
      if (this.#news) {
        this.#news = false;
        this.#ready.replace(await store.claims.lanesReady());
      }
      await this.#claim();
      wakeAt = Math.min(wakeAt, (await store.claims.nextDueAt()) ?? wakeAt, this.#ready.nextAt ?? wakeAt);
    } catch (error) {
      // A full disk or a locked database passes; sending resumes by itself when it has.
      log.error(error instanceof MailProxyError ? error.message : 'The queue could not be read', {
        err: error,
      });
      this.#news = true;
      wakeAt = now() + SETTLE_RETRY_MS;
    }
    if (this.#stopping) return;
    const wait = Math.min(Math.max(wakeAt - now(), 1), LONGEST_SLEEP_MS);
    this.#timer = setTimeout(() => this.#goOn(), wait).unref();
  }

  /** Limits may have been raised since a lane was told to wait, accounts been changed or deleted. */
  async #noticeChanges(): Promise<void> {
    const { store } = this.#options;
    const generation = await store.settings.generation();
    if (generation === this.#generation) return;
    this.#forgetLimits();
    await this.#lanes.noticeChanges();
    this.#generation = generation;
    this.#news = true;
    this.#releasing = true;
  }

  /** Lanes ask the store again: of one tenant, since it may have a limit over all of them, or all. */
  #forgetLimits(tenantId?: string): void {
    this.#limitsForgotten++;
    for (const lane of this.#lanes.values()) {
      if (tenantId === undefined || lane.tenantId === tenantId) lane.limitedUntil = 0;
    }
    this.#ready.rouse(tenantId);
  }

  async #promote(): Promise<void> {
    const { store, now } = this.#options;
    const next = await store.claims.nextDueAt();
    if (next === undefined || next > now()) return;
    const { promoted, expired, endedOf } = await store.claims.promoteDue(now(), PROMOTE_STEP);
    for (const accountPk of endedOf) this.#events.expired(accountPk);
    if (promoted > 0) this.#news = true;
    if (promoted === PROMOTE_STEP || expired === PROMOTE_STEP) this.#again = true;
  }

  /** Frees what batches that were activated have parked, a bounded step a round. */
  async #releaseSuspended(): Promise<void> {
    if (!this.#releasing) return;
    const { store, now } = this.#options;
    const changed = await store.claims.releaseSuspended(now(), PROMOTE_STEP);
    if (changed > 0) this.#news = true;
    if (changed === PROMOTE_STEP) this.#again = true;
    else this.#releasing = false;
  }

  /** Claims for all lanes that have room, in one transaction, and hands the messages to their lanes. */
  async #claim(): Promise<void> {
    const budget = this.#inFlight.byteBudget();
    const wishes = await this.#wishes();
    const shares = planClaims(wishes, {
      free: this.#inFlight.free,
      inFlight: (tenantId) => this.#inFlight.of(tenantId),
      turn: this.#turn++,
    });
    const total = (of: number[]): number => of.reduce((sum, n) => sum + n, 0);
    this.#wantsRoom = total(shares.map(({ limit }) => limit)) < total(wishes.map(({ want }) => want));
    if (this.#stopping) return;
    const outcomes = await Promise.allSettled(
      shares.map(({ lane, limit }) => this.#claimFor(lane, limit, budget)),
    );
    for (const [i, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') continue;
      const { reason } = outcome;
      // One lane's own failure stops none beside it; the store's stops the round.
      if (reason instanceof MailProxyError && reason.code === 'store_unavailable') throw reason;
      const lane = shares[i]?.lane as Lane;
      this.#options.log.error(`Account '${lane.account.id}' of tenant '${lane.tenantId}' cannot be served`, {
        err: reason,
      });
      this.#ready.rest(lane, this.#options.now() + SETTLE_RETRY_MS);
    }
  }

  async #wishes(): Promise<Array<{ lane: Lane; tenantId: string; want: number }>> {
    const now = this.#options.now();
    const wishes: Array<{ lane: Lane; tenantId: string; want: number }> = [];
    for (const key of [...this.#ready.awake(now)]) {
      const lane = await this.#readyLane(key);
      if (lane === undefined) continue;
      const restUntil = lane.resumesAt(now);
      if (restUntil !== undefined) this.#ready.rest(key, restUntil);
      else wishes.push({ lane, tenantId: key.tenantId, want: lane.capacity(now) });
    }
    return wishes;
  }

  /** Undefined while the account cannot be used: it is looked at again in a while, or when something changes. */
  async #readyLane(key: LaneKey): Promise<Lane | undefined> {
    const { now, log } = this.#options;
    const known = this.#lanes.get(key.accountPk);
    if (known?.held !== undefined && known.resumesAt(now()) !== undefined) {
      this.#ready.rest(key, known.resumesAt(now()) ?? now());
      return undefined;
    }
    try {
      const lane = await this.#lanes.ready(key);
      if (lane === undefined) this.#ready.rest(key, now() + LONGEST_SLEEP_MS);
      return lane;
    } catch (error) {
      if (error instanceof MailProxyError && error.code === 'store_unavailable') throw error;
      log.error(`Account ${key.accountPk} of tenant '${key.tenantId}' cannot be served`, { err: error });
      this.#ready.rest(key, now() + SETTLE_RETRY_MS);
      return undefined;
    }
  }

  async #claimFor(lane: Lane, limit: number, budget: ByteBudget): Promise<void> {
    const { store, now, owner } = this.#options;
    const forgotten = this.#limitsForgotten;
    const result = await store.claims.claimDue(lane, { limit, owner, now: now(), leaseMs: LEASE_MS, budget });
    // An answer from before the limits were forgotten is not remembered: the round after this one asks again.
    if (result.limitedUntil !== undefined && forgotten === this.#limitsForgotten)
      lane.limitedUntil = result.limitedUntil;
    this.#tellLimited(lane, result);
    this.#noteMore(lane, result);
    await this.#take(lane, result);
  }

  /** A message that arrives for an idle lane is claimed with the commit that stores it, and is on its way one commit earlier. */
  #wishAtOnce(accountPk: number): ReturnType<Claimer> {
    const { now, owner, log } = this.#options;
    const lane = this.#lanes.get(accountPk);
    if (lane?.pool === undefined || lane.active > 0 || lane.isLimited || !this.active) return undefined;
    const atOnce = this.#claimedAtOnce();
    const { lanes, budget } = atOnce;
    if (lanes.has(lane) || lane.capacity(now()) <= 0) return undefined;
    if (this.#inFlight.free - lanes.size <= this.#inFlight.of(lane.tenantId)) return undefined;
    lanes.add(lane);
    let isBegun = false;
    let isCommitted = (_is: boolean): void => undefined;
    return {
      lane,
      options: { limit: 1, owner, now: now(), leaseMs: LEASE_MS, budget },
      // Composed and offered while the disk is busy; the server is given nothing that counts before the mark, which waits for the commit.
      begin: ({ claims, generation }) => {
        if (claims.length === 0 || generation !== this.#generation) return;
        isBegun = true;
        const committed = new Promise<boolean>((resolve) => {
          isCommitted = resolve;
        });
        atOnce.ended.push(() => isCommitted(false));
        this.#inFlight.add(claims);
        for (const claim of claims) this.#send(lane, claim, committed);
      },
      take: (result) => {
        this.#tellLimited(lane, result);
        if (isBegun) {
          failPoint('claimed');
          lane.isLimited = result.isLimited;
          isCommitted(true);
          return;
        }
        this.#take(lane, result).catch((error: unknown) => {
          log.error('What arrived could not be sent at once; it is sent when its lease is over', {
            err: error,
          });
        });
      },
    };
  }

  /** What is claimed at once in the present commit: its lanes may have no second one in it, and what it does not take is undone at its end. */
  #claimedAtOnce(): ClaimedAtOnce {
    if (this.#atOnce === undefined) {
      const atOnce: ClaimedAtOnce = { lanes: new Set(), budget: this.#inFlight.byteBudget(), ended: [] };
      this.#atOnce = atOnce;
      setImmediate(() => {
        this.#atOnce = undefined;
        for (const end of atOnce.ended) end();
      });
    }
    return this.#atOnce;
  }

  /** Sends what was claimed. */
  async #take(lane: Lane, { claims, isLimited, generation }: ClaimResult): Promise<void> {
    if (claims.length > 0) failPoint('claimed');
    this.#inFlight.add(claims);
    lane.isLimited = isLimited;
    // Nothing goes out under settings that were changed before it was claimed.
    if (generation !== this.#generation) {
      await this.#noticeChanges().catch((error: unknown) =>
        this.#options.log.error('Changes of accounts could not be read', { err: error }),
      );
    }
    for (const claim of claims) this.#send(lane, claim);
  }

  #tellLimited({ accountPk }: Lane, { rejected, isHeldBack }: ClaimResult): void {
    if (rejected > 0 || isHeldBack === true) this.#events.limited(accountPk, rejected);
  }

  #noteMore(lane: Lane, { claims, rejected, parked, limitedUntil, more }: ClaimResult): void {
    if (limitedUntil !== undefined) this.#ready.rest(lane, limitedUntil);
    else if (!more) this.#ready.empty(lane.accountPk);
    // Fewer than it has connections for: then the next round learns from its limit when it may go on.
    else if (rejected > 0 || parked > 0 || claims.length > 0) this.#again = true;
  }

  #send(lane: Lane, claim: Claim, isCommitted?: Promise<boolean>): void {
    lane.active++;
    const onFree = (): void => {
      lane.active--;
      if (lane.capacity(this.#options.now()) > 0) this.#goOn();
    };
    const delivery = this.#delivery.deliver(lane, claim, onFree, isCommitted).then((end) => {
      this.#inFlight.remove(claim);
      this.#deliveries.delete(delivery);
      // What did not end may be ready again, and charges that were given back what the lanes of this tenant wait for.
      if (end !== 'final' && end !== 'error') this.#news = true;
      if (end === 'release') this.#forgetLimits(claim.tenantId);
      if (this.#news || this.#wantsRoom || lane.capacity(this.#options.now()) > 0) this.#goOn();
    });
    this.#deliveries.add(delivery);
  }

  /** What waits for a connection of an account that does not work waits in the queue instead. */
  #breakerChanged(lane: Lane): void {
    this.#lanes.publish(lane);
    if (lane.resumesAt(this.#options.now()) !== undefined) lane.pool?.abandonWaiting();
  }
}

import type { Log } from '../core/log.js';
import type { Millis } from '../core/types.js';
import type { CleanupStore } from '../store/cleanup.js';

/** What the clean-up works with. */
export interface CleanUpOptions {
  store: CleanupStore;
  /** How long rows of final messages are kept. */
  retention: Millis;
  /** Unix milliseconds. */
  now(): Millis;
  log: Log;
}

const MESSAGES_A_STEP = 100;
/** After a step it rests at least so long, and ten times as long as the step took: sending is never stalled. */
const SHORTEST_PAUSE_MS = 20;
const REST_FACTOR = 10;
const LONGEST_SLEEP_MS = 30_000;
const FORGET_EVERY_MS: Millis = 3_600_000;
const REPORTS_EVERY_MS: Millis = 3_600_000;

/** Takes away what is no longer needed while the daemon runs: a short step, then a pause, and sleep when nothing is due. */
export class CleanUp {
  readonly #options: CleanUpOptions;
  #timer: NodeJS.Timeout | undefined;
  #turn: Promise<void> = Promise.resolve();
  #stopping = false;
  #failing = false;
  #forgottenAt: Millis = 0;
  /** Whether there may be idempotency keys to forget. */
  #requests = false;
  #reportsAt: Millis = 0;
  #charges: string | undefined = undefined;

  constructor(options: CleanUpOptions) {
    this.#options = options;
  }

  /** Begins; nothing waits for it. */
  start(): void {
    this.#rest(SHORTEST_PAUSE_MS);
  }

  /** Resolves when no step is under way; none follows. */
  async stop(): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    await this.#turn;
  }

  #rest(millis: number): void {
    if (this.#stopping) return;
    this.#timer = setTimeout(() => {
      this.#turn = this.#step().then((wait) => this.#rest(wait));
    }, millis).unref();
  }

  /** How long to rest after it. */
  async #step(): Promise<number> {
    const { store, retention, now, log } = this.#options;
    const begun = performance.now();
    try {
      const { handled, removed, nextAt } = await store.cleanUp(now(), retention, MESSAGES_A_STEP);
      if (removed > 0) log.debug(`Removed ${removed} message(s) whose retention is over`);
      const more = (await this.#forget()) || (await this.#giveUpReports()) || handled > 0;
      this.#failing = false;
      if (more) return Math.max(SHORTEST_PAUSE_MS, REST_FACTOR * (performance.now() - begun));
      return Math.min(
        Math.max((nextAt ?? Number.POSITIVE_INFINITY) - now(), SHORTEST_PAUSE_MS),
        LONGEST_SLEEP_MS,
      );
    } catch (error) {
      if (!this.#failing) log.error('Old messages cannot be cleaned up; it is tried again', { err: error });
      this.#failing = true;
      return LONGEST_SLEEP_MS;
    }
  }

  /** Now and then. Returns whether there may be more to give up. */
  async #giveUpReports(): Promise<boolean> {
    const { store, retention, now, log } = this.#options;
    if (now() - this.#reportsAt < REPORTS_EVERY_MS) return false;
    const given = await store.giveUpReports(now(), retention, MESSAGES_A_STEP);
    if (given > 0) log.warn(`Gave up ${given} report(s) of tenants that have no endpoint any more`);
    else this.#reportsAt = now();
    return given > 0;
  }

  /** Idempotency keys, then charges, now and then and bit by bit. Returns whether there is more to forget. */
  async #forget(): Promise<boolean> {
    const { store, now } = this.#options;
    if (this.#charges === undefined) {
      if (now() - this.#forgottenAt < FORGET_EVERY_MS) return false;
      this.#forgottenAt = now();
      this.#requests = true;
    }
    if (this.#requests) {
      this.#charges = '';
      this.#requests = await store.forgetRequests(now());
      return true;
    }
    this.#charges = await store.forgetCharges(now(), this.#charges ?? '');
    return this.#charges !== undefined;
  }
}

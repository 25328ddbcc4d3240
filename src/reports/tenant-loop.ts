import type { Millis } from '../core/types.js';

/** What a loop turns. */
export interface TenantLoopOptions {
  /** Does what is due, and says when to look again; undefined ends the loop. */
  turn(isForced: boolean): Promise<Millis | undefined>;
  /** Unix milliseconds. */
  now(): Millis;
  /** A turn failed; it is taken again a little later. */
  onError(error: unknown): void;
  onEnd(): void;
}

const LONGEST_SLEEP_MS = 60_000;
const AFTER_ERROR_MS = 5000;

/** Turns again and again: when it is woken, when its time has come; one turn at a time. */
export class TenantLoop {
  readonly #options: TenantLoopOptions;
  #turning: Promise<void> | undefined;
  #again = false;
  #isForced = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;
  #dueAt: Millis | undefined;

  constructor(options: TenantLoopOptions) {
    this.#options = options;
  }

  /** There may be something to do. */
  wake(): void {
    if (this.#isStopped) return;
    this.#again = true;
    if (this.#turning !== undefined) return;
    clearTimeout(this.#timer);
    this.#turning = this.#turn().finally(() => {
      this.#turning = undefined;
      // What woke it between its last look and now must not wait for a timer.
      if (this.#again) this.wake();
    });
  }

  /** Does what its time has come for; the clock may have run ahead of the timer. */
  wakeIfDue(): void {
    if (this.#dueAt !== undefined && this.#dueAt <= this.#options.now()) this.wake();
  }

  /** Does it now, whatever it waits for. */
  force(): void {
    this.#isForced = true;
    this.wake();
  }

  /** Resolves when no turn is under way; none follows. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#turning;
  }

  async #turn(): Promise<void> {
    const { turn, now, onError, onEnd } = this.#options;
    let at: Millis | undefined;
    do {
      this.#again = false;
      const isForced = this.#isForced;
      this.#isForced = false;
      try {
        at = await turn(isForced);
      } catch (error) {
        onError(error);
        at = now() + AFTER_ERROR_MS;
      }
    } while (!this.#isStopped && (this.#again || (at !== undefined && at <= now())));
    if (this.#isStopped) return;
    if (at === undefined) {
      this.#isStopped = true;
      onEnd();
      return;
    }
    this.#dueAt = at;
    this.#timer = setTimeout(() => this.wake(), Math.min(Math.max(at - now(), 1), LONGEST_SLEEP_MS)).unref();
  }
}

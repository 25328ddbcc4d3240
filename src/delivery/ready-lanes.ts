import type { Millis } from '../core/types.js';
import type { Lane as LaneKey } from '../store/claim-types.js';

/**
 * The lanes that have messages ready, as far as is known, and those of them that rest: limited or down until a time. A lane
 * that rests is not looked at before, so that it costs nothing.
 */
export class ReadyLanes {
  readonly #awake = new Map<number, LaneKey>();
  readonly #resting = new Map<number, { key: LaneKey; until: Millis }>();
  #nextAt: Millis | undefined;

  /** Takes in what the store says: lanes that it does not name have nothing ready; those that rest go on resting. */
  replace(keys: readonly LaneKey[]): void {
    const ready = new Set(keys.map(({ accountPk }) => accountPk));
    this.#awake.clear();
    for (const pk of [...this.#resting.keys()]) if (!ready.has(pk)) this.#resting.delete(pk);
    for (const key of keys) if (!this.#resting.has(key.accountPk)) this.#awake.set(key.accountPk, key);
  }

  /** Lanes to look at now. */
  awake(now: Millis): Iterable<LaneKey> {
    if (this.#nextAt !== undefined && this.#nextAt <= now) this.#wakeDue(now);
    return this.#awake.values();
  }

  /** Nothing is ready in a lane any more. */
  empty(accountPk: number): void {
    this.#awake.delete(accountPk);
  }

  /** Leaves a lane alone until a time. */
  rest(key: LaneKey, until: Millis): void {
    this.#awake.delete(key.accountPk);
    this.#resting.set(key.accountPk, { key, until });
    if (this.#nextAt === undefined || until < this.#nextAt) this.#nextAt = until;
  }

  /** Ends the rest of all lanes, or of one tenant's: what they waited for may be over. */
  rouse(tenantId?: string): void {
    for (const [pk, { key }] of [...this.#resting]) {
      if (tenantId !== undefined && key.tenantId !== tenantId) continue;
      this.#resting.delete(pk);
      this.#awake.set(pk, key);
    }
  }

  /** When the next lane has rested; undefined when none rests. */
  get nextAt(): Millis | undefined {
    return this.#resting.size === 0 ? undefined : this.#nextAt;
  }

  #wakeDue(now: Millis): void {
    this.#nextAt = undefined;
    for (const [pk, { key, until }] of [...this.#resting]) {
      if (until <= now) {
        this.#resting.delete(pk);
        this.#awake.set(pk, key);
      } else if (this.#nextAt === undefined || until < this.#nextAt) this.#nextAt = until;
    }
  }
}

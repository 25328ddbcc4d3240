import type { Millis } from './types.js';

/** What lived this long before it ended did not end because it was started. */
const LONG_LIFE_MS = 60_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;

/** Says how long to wait before something that ended is started again: not at all once, then longer each time. */
export class RestartPause {
  #endings = 0;

  /** The pause after one more ending; `lived` is how long it had run. */
  after(lived: Millis): Millis {
    if (lived >= LONG_LIFE_MS) this.#endings = 0;
    const again = this.#endings++;
    return again === 0 ? 0 : Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (again - 1));
  }
}

/** Lets those who name the same key take turns, in the order in which they came; others do not wait. */
export class KeyedTurns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when all that came before under this key have ended, well or not. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const turn = before === undefined ? work() : before.then(work, work);
    this.#last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === turn) this.#last.delete(key);
    }
  }
}

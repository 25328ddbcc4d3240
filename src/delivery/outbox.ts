/**
 * How long what is said is collected: `turn` until the end of this turn of the event loop, when all that is ready was heard; `step` until
 * all that waited for the same promises as the first to say something have had their turn.
 */
type Collects = 'turn' | 'step';

/**
 * Collects what is said to another thread and says it all at once: under load a message between threads costs as much as a
 * message to a server.
 */
export class Outbox<T> {
  readonly #post: (items: T[]) => void;
  readonly #later: (flush: () => void) => unknown;
  #items: T[] = [];

  constructor(collects: Collects, post: (items: T[]) => void) {
    this.#post = post;
    this.#later = collects === 'turn' ? setImmediate : queueMicrotask;
  }

  /** Says something, soon. */
  say(item: T): void {
    this.#items.push(item);
    if (this.#items.length === 1) this.#later(() => this.flush());
  }

  /** Says now what was collected. */
  flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#post(items);
  }
}

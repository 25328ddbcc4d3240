/**
 * Collects what is said to another thread during one turn of the event loop and says it all at once: under load a message
 * between threads costs as much as a message to a server.
 */
export class Outbox<T> {
  readonly #post: (items: T[]) => void;
  #items: T[] = [];

  constructor(post: (items: T[]) => void) {
    this.#post = post;
  }

  /** Says something, soon. */
  say(item: T): void {
    this.#items.push(item);
    if (this.#items.length === 1) setImmediate(() => this.flush());
  }

  /** Says now what was collected. */
  flush(): void {
    if (this.#items.length === 0) return;
    const items = this.#items;
    this.#items = [];
    this.#post(items);
  }
}

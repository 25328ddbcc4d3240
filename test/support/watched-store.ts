import type { Store } from '../../src/store/store.js';

/** A store that says what is asked of it, and when nothing is being waited for. */
export interface WatchedStore {
  store: Store;
  /** Functions that were called, such as `claims.claimDue`, in order. */
  calls: string[];
  /**
   * Resolves when nothing is under way: whoever works with the store then waits for a timer or a server. Exact as long as the
   * store is all that they wait for.
   */
  idle(): Promise<void>;
}

/** Watches the calls to a store that go through the store it returns. */
export function watchStore(store: Store): WatchedStore {
  const calls: string[] = [];
  let underWay = 0;
  const end = (): void => {
    underWay--;
  };
  const watched = (part: object, name: string): object =>
    new Proxy(part, {
      get(target, key) {
        const found: unknown = Reflect.get(target, key);
        if (typeof found !== 'function') return found;
        return (...args: unknown[]): unknown => {
          calls.push(`${name}.${String(key)}`);
          const result: unknown = found.apply(target, args);
          if (result instanceof Promise) {
            underWay++;
            result.then(end, end);
          }
          return result;
        };
      },
    });
  return {
    store: new Proxy(store, {
      get(target, key) {
        const found: unknown = Reflect.get(target, key);
        return typeof found === 'object' && found !== null ? watched(found, String(key)) : found;
      },
    }),
    calls,
    async idle() {
      // All that follows from what was answered has run when the next turn of the event loop begins.
      do await new Promise((resolve) => setImmediate(resolve));
      while (underWay > 0);
    },
  };
}

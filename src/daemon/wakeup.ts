import type { Log } from '../core/log.js';
import type { Store } from '../store/store.js';

const POLL_MS = 150;

/**
 * Calls `onChange` soon after another process has committed to the database: that is how a command of the CLI reaches a
 * running daemon. Reading SQLite's own change counter costs a few microseconds.
 *
 * @param onLost - Called once when the database's file is no longer there: nothing that is written would last.
 * @returns A function that stops watching.
 */
export function watchOtherWriters(
  store: Store,
  log: Log,
  onChange: () => void,
  onLost: () => void,
): () => void {
  let seen: number | undefined;
  let failing = false;
  let lost = false;
  const look = (): void => {
    store
      .dataVersion()
      .then((version) => {
        failing = false;
        if (seen !== undefined && seen !== version) onChange();
        seen = version;
        return store.isInPlace();
      })
      .then((isInPlace) => {
        if (!isInPlace && !lost) onLost();
        lost = !isInPlace;
      })
      .catch((error: unknown) => {
        if (!failing) log.error('The database cannot be watched for changes', { err: error });
        failing = true;
      });
  };
  // What is committed from here on is noticed, not only what follows the first tick.
  look();
  const timer = setInterval(look, POLL_MS);
  return () => clearInterval(timer);
}

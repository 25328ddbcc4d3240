/** How long work may go on before everybody else has a turn, in milliseconds. */
const SLICE_MS = 10;

/**
 * Makes a function to be awaited between small pieces of long work: once they have taken 10 ms it lets the event loop turn,
 * so that a large request delays no other. Several loops may share one and then share the slice.
 */
export function createBreather(sliceMs: number = SLICE_MS): () => Promise<void> {
  let until = performance.now() + sliceMs;
  let turn: Promise<void> | undefined;
  const begin = (): Promise<void> =>
    new Promise((resolve) => {
      setImmediate(() => {
        until = performance.now() + sliceMs;
        turn = undefined;
        resolve();
      });
    });
  return async () => {
    while (performance.now() >= until) {
      turn ??= begin();
      await turn;
    }
  };
}

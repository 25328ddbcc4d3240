/**
 * Looks at something at each turn of the event loop until a piece of work has ended, and once after it.
 *
 * @returns What was seen, in order, each once.
 */
export async function watch<T>(work: Promise<unknown>, look: () => T): Promise<Set<T>> {
  let isDone = false;
  const ended = work.finally(() => {
    isDone = true;
  });
  const seen = new Set<T>();
  while (!isDone) {
    seen.add(look());
    await new Promise((resolve) => setImmediate(resolve));
  }
  await ended;
  return seen.add(look());
}

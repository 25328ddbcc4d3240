import { afterEach } from 'vitest';

/** Registers what has to be closed after the test that is running: last opened, first closed. */
export function useCleanup(): <T>(thing: T, close: (thing: T) => unknown) => T {
  const closers: Array<() => unknown> = [];
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close();
  });
  return (thing, close) => {
    closers.push(() => close(thing));
    return thing;
  };
}

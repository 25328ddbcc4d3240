import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves of the young generation together, bytes. */
const LARGE_ENOUGH = 8 * 1024 * 1024;

let watching: PerformanceObserver | undefined;

function isLargeEnough(): boolean {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  return (young?.space_size ?? 0) >= LARGE_ENOUGH;
}

function stopGrowth(): void {
  watching?.disconnect();
  watching = undefined;
  setFlagsFromString('--semi-space-growth-factor=1');
}

/**
 * Keeps the young generation of this thread's heap at 8 MB, enough for what is made for a message to be dead before it is moved out
 * of it. Left alone it grows to 32 MB as soon as there is work, and is never given back. To be called early, and again after each start
 * of a thread, which sets the growth back for all of them.
 */
export function keepHeapSmall(): void {
  if (isLargeEnough()) {
    stopGrowth();
    return;
  }
  if (watching !== undefined) return;
  watching = new PerformanceObserver(() => {
    if (isLargeEnough()) stopGrowth();
  });
  watching.observe({ entryTypes: ['gc'] });
}

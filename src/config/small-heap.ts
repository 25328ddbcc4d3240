import { PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';

/** Both halves of the young generation together, bytes. */
const LARGE_ENOUGH = 8 * 1024 * 1024;

let watching: PerformanceObserver | undefined;

function allowGrowth(): void {
  const young = getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space');
  const factor = (young?.space_size ?? 0) >= LARGE_ENOUGH ? 1 : 2;
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

/**
 * Keeps the young generation of this thread's heap at 8 MB, enough for what is made for a message to be dead before it is moved out
 * of it. Left alone it grows to 32 MB as soon as there is work. When the heap was idle it may have shrunk, and grows up to there again. To
 * be called early, and again after each start of a thread, which lets all heaps of the process grow.
 */
export function keepHeapSmall(): void {
  allowGrowth();
  if (watching !== undefined) return;
  watching = new PerformanceObserver(allowGrowth);
  watching.observe({ entryTypes: ['gc'] });
}

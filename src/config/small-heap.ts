import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const MIB = 1024 * 1024;
/** Both halves of the young generation together. */
const YOUNG = 8 * MIB;
/** So much may have died in the old generation before it is collected. */
const OLD_GARBAGE = 8 * MIB;
/** At least so long between two collections of the old generation, milliseconds: each holds everything up for some 20. */
const COLLECT_EVERY_MS = 5000;

let isWatched = false;

function sizeOf(space: 'new_space' | 'old_space', what: 'space_size' | 'space_used_size'): number {
  return getHeapSpaceStatistics().find(({ space_name }) => space_name === space)?.[what] ?? 0;
}

function allowGrowth(): void {
  const factor = sizeOf('new_space', 'space_size') >= YOUNG ? 1 : 2;
  setFlagsFromString(`--semi-space-growth-factor=${factor}`);
}

/** Collects what is dead in the old generation before V8 would, which first lets it grow by some 60 MB. */
function collectEarly(): (isOldCollected: boolean) => void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  let live = sizeOf('old_space', 'space_used_size');
  let collectedAt = 0;
  return (isOldCollected) => {
    const used = sizeOf('old_space', 'space_used_size');
    if (isOldCollected) live = used;
    if (used < live + OLD_GARBAGE || performance.now() < collectedAt + COLLECT_EVERY_MS) return;
    collectedAt = performance.now();
    collect();
  };
}

/**
 * Keeps this thread's heap near what is alive in it: the young generation at 8 MB, enough for what is made for a message to be dead before
 * it is moved out of it, and little garbage in the old one. Left alone the one grows to 32 MB and the other by 60 as soon as there is
 * work. To be called early, and again after each start of a thread, which lets all heaps of the process grow.
 */
export function keepHeapSmall(): void {
  // Threads that are started from now on have that size from their beginning, megabytes for one half.
  setFlagsFromString(`--min-semi-space-size=${YOUNG / 2 / MIB}`);
  allowGrowth();
  if (isWatched) return;
  isWatched = true;
  const noteCollection = collectEarly();
  new PerformanceObserver((seen) => {
    allowGrowth();
    noteCollection(
      seen.getEntries().some((entry) => {
        const { detail } = entry as PerformanceEntry & { detail?: { kind?: number } };
        return detail?.kind === constants.NODE_PERFORMANCE_GC_MAJOR;
      }),
    );
  }).observe({ entryTypes: ['gc'] });
}

// Loaded in front of the daemon: the first SIGUSR2 begins to sample the delay of its event loop, the second writes what was seen.
import { renameSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const file = process.env.BENCH_LOOP_DELAY;
delete process.env.BENCH_LOOP_DELAY;

if (isMainThread && file !== undefined) {
  let histogram;
  process.on('SIGUSR2', () => {
    if (histogram === undefined) {
      histogram = monitorEventLoopDelay({ resolution: 1 });
      histogram.enable();
      return;
    }
    histogram.disable();
    const ms = (nanos) => nanos / 1e6;
    const seen = {
      p50: ms(histogram.percentile(50)),
      p999: ms(histogram.percentile(99.9)),
      max: ms(histogram.max),
    };
    writeFileSync(`${file}.new`, JSON.stringify(seen));
    renameSync(`${file}.new`, file);
    histogram = undefined;
  });
}

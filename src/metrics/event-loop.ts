import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { type Family, gauge } from './family.js';

const RESOLUTION_MS = 20;

/** How late the event loop of the main thread is: what waits for it is every request and every commit. */
export class EventLoopDelay {
  readonly #delay: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  /** Begins to measure. */
  constructor() {
    this.#delay.enable();
  }

  /** What was measured since it was read last. */
  family(): Family {
    const { count, max } = this.#delay;
    const at = (percent: number) => (count === 0 ? 0 : this.#delay.percentile(percent));
    const values = [
      { labels: { quantile: '0.5' }, value: seconds(at(50)) },
      { labels: { quantile: '0.99' }, value: seconds(at(99)) },
      { labels: { quantile: '1' }, value: seconds(count === 0 ? 0 : max) },
    ];
    this.#delay.reset();
    return gauge(
      'gmp_event_loop_delay_seconds',
      'Delay of the event loop since the last scrape: median, 99th percentile and longest.',
      values,
    );
  }

  /** Ends the measuring. */
  stop(): void {
    this.#delay.disable();
  }
}

/** It measures from one tick of its clock to the next: what is beyond their distance is delay. */
function seconds(nanos: number): number {
  return Math.max(0, nanos / 1e6 - RESOLUTION_MS) / 1000;
}

import { Distribution } from './distribution.js';
import type { Family, Sample } from './family.js';

const NAME = 'gmp_http_request_duration_seconds';
const BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
/** Whoever asks chooses the method: others are one. */
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS']);

/** How long requests took, by method, declared route and status; nothing that a client makes up becomes a label. */
export class RequestTimes {
  readonly #byKey = new Map<string, { labels: Record<string, string>; times: Distribution }>();

  /** Counts a request that was answered. */
  observe(method: string, route: string, status: number, seconds: number): void {
    const named = METHODS.has(method) ? method : 'other';
    const key = `${named} ${status} ${route}`;
    let entry = this.#byKey.get(key);
    if (entry === undefined) {
      entry = { labels: { method: named, route, status: String(status) }, times: new Distribution(BOUNDS) };
      this.#byKey.set(key, entry);
    }
    entry.times.observe(seconds);
  }

  /** The histogram of all. */
  family(): Family {
    const values: Sample[] = [...this.#byKey.values()].flatMap(({ labels, times }) =>
      times.samples(NAME, labels),
    );
    return { name: NAME, help: 'Seconds that requests took to be answered.', type: 'histogram', values };
  }
}

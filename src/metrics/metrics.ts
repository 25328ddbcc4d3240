import type { Millis } from '../core/types.js';
import type { DeliveryEvents } from '../delivery/delivery-events.js';
import type { Store } from '../store/store.js';
import { DeliveryCounters } from './delivery-counters.js';
import { EventLoopDelay } from './event-loop.js';
import { type Exposition, expose } from './exposition.js';
import { type LaneFigure, laneFamilies } from './lane-figures.js';
import { processFamilies } from './process-figures.js';
import { RequestTimes } from './request-times.js';
import { storeFamilies } from './store-figures.js';

/** What is measured of a server. */
export interface MetricsOptions {
  store: Store;
  /** Unix milliseconds. */
  now(): Millis;
  startedAt: Millis;
  version: string;
  /** What the lanes are doing now. */
  lanes(): readonly LaneFigure[];
}

/** What a server counts while it runs, and how it is asked for it. */
export interface Metrics {
  /** To be told what became of messages. */
  readonly deliveries: DeliveryEvents;
  /** To be told of a request that was answered; `route` as it is declared. */
  requestDone(method: string, route: string, status: number, seconds: number): void;
  scrape(): Promise<Exposition>;
  stop(): void;
}

/** Begins to measure; everything is read when it is scraped. */
export function createMetrics({ store, now, startedAt, version, lanes }: MetricsOptions): Metrics {
  const deliveries = new DeliveryCounters();
  const requests = new RequestTimes();
  const eventLoop = new EventLoopDelay();
  return {
    deliveries,
    requestDone: (method, route, status, seconds) => requests.observe(method, route, status, seconds),
    async scrape() {
      // First: an account that is met while this is awaited has to be among the names.
      const stored = await storeFamilies(store, now());
      const present = lanes();
      const pks = new Set([...deliveries.accounts, ...present.map(({ accountPk }) => accountPk)]);
      const names = await store.figures.accountNames([...pks]);
      return expose([
        ...stored,
        ...deliveries.families(names),
        ...laneFamilies(present, names),
        requests.family(),
        eventLoop.family(),
        ...processFamilies(version, Math.max(0, now() - startedAt) / 1000, startedAt),
      ]);
    },
    stop: () => eventLoop.stop(),
  };
}

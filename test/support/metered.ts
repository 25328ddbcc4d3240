import { createMetrics } from '../../src/metrics/metrics.js';
import { openTestDispatch, type TestDispatch } from './dispatch.js';
import { openTestAppOver, type TestApp } from './http.js';
import { type Scrape, scrape } from './scrape.js';

/** A dispatcher and the app over one store, put together as a daemon does. */
export interface Metered extends TestDispatch {
  server: TestApp;
  scrape(): Promise<Scrape>;
  /** Scrapes until it is as wanted. */
  scrapeUntil(wanted: (scrape: Scrape) => boolean): Promise<Scrape>;
}

/** Opens a {@link Metered}. */
export async function openMetered(): Promise<Metered> {
  const lanes: () => TestDispatch['dispatcher']['standings'] = () => dispatch.dispatcher.standings;
  let metrics: ReturnType<typeof createMetrics> | undefined;
  const dispatch = await openTestDispatch(undefined, ({ store, clock }) => {
    const now = () => clock.now;
    metrics = createMetrics({ store, now, startedAt: now(), version: '1.2.3', lanes });
    return metrics.deliveries;
  });
  if (metrics === undefined) throw new Error('Nothing is measured.');
  const server = await openTestAppOver(dispatch, { metrics });
  return {
    ...dispatch,
    server,
    scrape: () => scrape(server),
    async scrapeUntil(wanted) {
      for (;;) {
        const found = await scrape(server);
        if (wanted(found)) return found;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async close() {
      metrics?.stop();
      await server.close();
    },
  };
}

import type { Metric } from 'prom-client';
import type { Family } from './family.js';

/** A scrape, ready to be answered. */
export interface Exposition {
  contentType: string;
  text: string;
}

/**
 * Writes families as Prometheus reads them. The library is loaded with the first scrape, and each has a registry of its own:
 * nothing outlives it, and a server that nobody scrapes never has it in memory.
 */
export async function expose(families: readonly Family[]): Promise<Exposition> {
  const { Registry } = await import('prom-client');
  const registry = new Registry();
  for (const family of families) {
    // Of a metric a registry reads its name, and this.
    const metric = { name: family.name, get: async () => family };
    registry.registerMetric(metric as unknown as Metric);
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}

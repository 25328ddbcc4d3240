import { type Family, gauge } from './family.js';

/** The process: by the names that dashboards know. */
export function processFamilies(version: string, uptimeSeconds: number, startedAt: number): Family[] {
  const { rss, heapUsed, external } = process.memoryUsage();
  return [
    gauge('process_resident_memory_bytes', 'Memory of the process.', rss),
    gauge('nodejs_heap_size_used_bytes', 'Heap that is in use.', heapUsed),
    gauge('nodejs_external_memory_bytes', 'Memory outside the heap that objects hold.', external),
    gauge('process_start_time_seconds', 'When the server began, Unix seconds.', startedAt / 1000),
    gauge('gmp_uptime_seconds', 'How long the server runs.', uptimeSeconds),
    gauge('gmp_build_info', 'Version of the server.', [{ labels: { version }, value: 1 }]),
  ];
}

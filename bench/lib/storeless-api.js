// The product's own app on its own listener, with everything but storing: a request is authenticated, validated and composed for the queue, which
// takes it and drops it. Argument: a server's database; prints its port, and ends with its standard input.
import { closeSync, openSync, writeSync } from 'node:fs';
import { keepHeapSmall } from '../../dist/config/small-heap.js';
import { parseAllowance } from '../../dist/core/destination.js';
import { openListener } from '../../dist/daemon/listener.js';
import { createLog } from '../../dist/daemon/log.js';
import { createDestinationGuard } from '../../dist/delivery/destination-guard.js';
import { createApp } from '../../dist/http/create-app.js';
import { createMetrics } from '../../dist/metrics/metrics.js';
import { openStoreAndMigrate } from '../../dist/store/store.js';
import { freePort } from './sink.js';

// As bin/run.js does for a daemon.
keepHeapSmall();

const [, , database] = process.argv;
const { store } = await openStoreAndMigrate(database);
const logFile = openSync(`${database}.storeless-log`, 'a');
const listener = await openListener({ host: '127.0.0.1', port: await freePort(), portIsFree: false });
const app = createApp({
  metrics: createMetrics({ store, now: Date.now, startedAt: Date.now(), version: '0', lanes: () => [] }),
  store: {
    ...store,
    queue: {
      ...store.queue,
      enqueue: async (_scope, messages) => messages.map((_, i) => ({ queued: true, pk: i, replaced: false })),
    },
  },
  keyring: () => {
    throw new Error('Nothing here needs a key.');
  },
  reloadKeys: async () => undefined,
  authAudit: { failed: () => undefined, succeeded: () => undefined },
  guard: createDestinationGuard(parseAllowance(undefined)),
  now: Date.now,
  startedAt: Date.now(),
  version: '0',
  schedulerActive: () => false,
  wake: () => undefined,
  changed: () => undefined,
  runNow: () => undefined,
  defaultPriority: 2,
  retention: 0,
  log: createLog({
    level: 'info',
    format: 'text',
    sink: { write: (line) => void writeSync(logFile, line) },
  }),
});
listener.serve(app.fetch);
process.stdout.write(String(listener.port));
process.stdin.resume().on('end', async () => {
  await listener.close();
  await store.close();
  closeSync(logFile);
});

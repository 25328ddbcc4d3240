// What a long queue costs: the rate of draining, the delay of the event loop and the memory with a thousand, a hundred thousand and a
// million messages queued. Sending is suspended, then activated for a thousand messages at a time.
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { BenchServer } from './lib/server.js';
import { startSink } from './lib/sink.js';
import { median } from './statistics.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const SIZES = (process.env.BENCH_SIZES ?? '1000,100000,1000000').split(',').map(Number);
const STRETCH = 1000;
const WANTED = { rate: 0.9, delayMs: 50, memoryMb: 150 };

export async function scale(print) {
  const sink = await startSink();
  const results = [];
  try {
    for (const size of SIZES) {
      const result = await withQueued(size, sink.port);
      results.push(result);
      print(
        `${size} queued: ${result.rate.toFixed(0)}/s, loop delay p99.9 ${result.delay.p999.toFixed(1)} ms (idle process ${result.idle.toFixed(1)} ms), ${result.memory.most.toFixed(0)} MB`,
      );
    }
  } finally {
    await sink.stop();
  }
  const [first, last] = [results[0], results.at(-1)];
  const ratio = last.rate / first.rate;
  print(
    `rate with ${last.size} queued as a ratio to ${first.size}: ${ratio.toFixed(2)} (at least ${WANTED.rate})`,
  );
  print(
    `p99.9 above an idle process: ${(last.delay.p999 - last.idle).toFixed(1)} ms (at most ${WANTED.delayMs})`,
  );
  print(`memory: ${last.memory.most.toFixed(0)} MB (under ${WANTED.memoryMb})`);
  return { results, ratio, wanted: WANTED };
}

async function withQueued(size, port) {
  const server = new BenchServer();
  try {
    await server.start({ sending: false });
    await server.addTenant('acme', port);
    const client = server.clientOf('acme');
    await client.suspend();
    await server.fill('acme', size);
    await server.stop();
    await server.start();
    const db = server.look();
    const sent = db.prepare("SELECT COALESCE(SUM(n), 0) AS n FROM message_counts WHERE state = 'sent'");
    const fresh = server.clientOf('acme');
    let filled = 0;
    // A queue of a thousand is filled again for each stretch; a longer one is long enough for all of them.
    const stretch = async () => {
      if (size <= STRETCH) await server.fill('acme', size, {}, `again${filled++}-`);
      const before = sent.get().n;
      const began = performance.now();
      await fresh.activate();
      while (sent.get().n < before + STRETCH) await new Promise((resolve) => setTimeout(resolve, 2));
      const rate = ((sent.get().n - before) * 1000) / (performance.now() - began);
      await fresh.suspend();
      return rate;
    };
    for (let i = 0; i < 3; i++) await stretch();
    const rates = [];
    const idle = monitorEventLoopDelay({ resolution: 1 });
    const delay = await server.sampleLoopDelay();
    for (let i = 0; i < ROUNDS; i++) rates.push(await stretch());
    const sampled = await delay();
    idle.enable();
    await new Promise((resolve) => setTimeout(resolve, 3000));
    idle.disable();
    db.close();
    return {
      size,
      rate: median(rates),
      delay: sampled,
      idle: idle.percentile(99.9) / 1e6,
      memory: server.memory(),
    };
  } finally {
    await server.remove();
  }
}

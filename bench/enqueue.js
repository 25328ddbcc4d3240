// What durable queueing over the API costs. One message a request one after the other, and batches of a hundred, beside better-sqlite3
// committing the same rows; 32 at once beside the same route storing nothing.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchServer } from './lib/server.js';
import { median } from './statistics.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const run = promisify(execFile);
const script = (name) => fileURLToPath(new URL(`lib/${name}`, import.meta.url));
/** Requests before the clock starts: no figure is one of a program that is still being compiled. */
const WARM = 3000;
const ONE = { count: 2000, concurrency: 1, batch: 1 };
const MANY = { count: 8000, concurrency: 32, batch: 1 };
const BATCHES = { count: 60, concurrency: 1, batch: 100 };

export async function enqueue(print) {
  const rates = {
    one: [],
    onePlain: [],
    oneBare: [],
    many: [],
    manyNothing: [],
    batches: [],
    batchesPlain: [],
  };
  for (let round = 0; round < ROUNDS; round++) {
    const server = new BenchServer();
    try {
      // The queue is only filled, never drained: what sending costs is measured by itself.
      await server.start({ sending: false });
      await server.addTenant('acme', 1);
      await rateOf(server, { ...ONE, count: WARM }, 'warm');
      rates.one.push(await rateOf(server, ONE, 'one'));
      rates.many.push(await rateOf(server, MANY, 'many'));
      rates.batches.push(await rateOf(server, BATCHES, 'batch'));
      await server.stop();
      rates.manyNothing.push(await rateOfOther('storeless-api.js', server, MANY, 'nothing'));
      rates.oneBare.push(await rateOfOther('bare-route.js', server, ONE, 'bare'));
      rates.onePlain.push(await plainRate(server, ONE, 'plain'));
      rates.batchesPlain.push(await plainRate(server, BATCHES, 'plain-batch'));
    } finally {
      await server.remove();
    }
  }
  const results = {};
  const compare = (name, what, reference, wanted) => {
    const ratio = median(rates[name].map((rate, i) => rate / rates[reference][i]));
    const figures = { rate: median(rates[name]), reference: median(rates[reference]), ratio, wanted };
    results[`${name}/${reference}`] = figures;
    const bound = wanted === undefined ? '' : ` (at least ${wanted})`;
    print(
      `${what}: ${figures.rate.toFixed(0)}/s, reference ${figures.reference.toFixed(0)}/s, ratio ${ratio.toFixed(2)}${bound}`,
    );
  };
  compare('one', 'one message a request, one after the other, beside its rows', 'onePlain', 0.7);
  compare('oneBare', 'a Hono route that does nothing but commit them, beside its rows', 'onePlain');
  compare('one', 'one message a request, one after the other, beside that route', 'oneBare');
  compare(
    'many',
    'one message a request, 32 at once, beside the route that stores nothing',
    'manyNothing',
    0.4,
  );
  compare('batches', 'batches of 100, in messages, beside their rows', 'batchesPlain', 0.6);
  return results;
}

/** Messages a second of another server over the same database: the same route when nothing is stored, or one that does nothing else. */
async function rateOfOther(name, { database }, how, prefix) {
  const child = spawn(process.execPath, [script(name), database], { stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    const [port] = await once(child.stdout, 'data');
    await rateOf({ port: Number(port) }, { ...ONE, count: WARM }, `${prefix}-warm`);
    return await rateOf({ port: Number(port) }, how, prefix);
  } finally {
    const ended = once(child, 'exit');
    child.stdin.end();
    await ended;
  }
}

/** Messages a second over the API. */
async function rateOf(server, { count, concurrency, batch }, prefix) {
  const options = {
    port: server.port,
    path: '/commands/add-messages',
    count,
    concurrency,
    batch,
    tenantId: 'acme',
    prefix,
  };
  const { stdout } = await run(process.execPath, [script('http-client.js'), JSON.stringify(options)], {
    maxBuffer: 1e8,
  });
  return (count * batch * 1000) / JSON.parse(stdout).ms;
}

/** Messages a second of better-sqlite3 alone. */
async function plainRate(server, { count, batch }, prefix) {
  const { stdout } = await run(process.execPath, [
    script('plain-rows.js'),
    server.database,
    String(count),
    String(batch),
    prefix,
  ]);
  return (count * batch * 1000) / JSON.parse(stdout).ms;
}

// How fast the daemon drains its queue, beside nodemailer's own pool composing and sending the same messages over as many connections to the
// same sink, and beside a Postfix relaying to it. The daemon is the installed one; its time ends when the last `sent` is committed.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { postfixRates } from './lib/postfix.js';
import { BenchServer } from './lib/server.js';
import { startSink } from './lib/sink.js';
import { median } from './statistics.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const MESSAGES = 20_000;
const CONNECTIONS = 10;
const POSTFIX_MESSAGES = 5000;
const WANTED = { toPool: 0.85, toPostfix: 5 };
const POOL = fileURLToPath(new URL('lib/nodemailer-pool.js', import.meta.url));

export async function drain(print) {
  const sink = await startSink();
  const rates = { daemon: [], pool: [], postfix: [], emptying: [] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      rates.pool.push(await poolRate(sink.port));
      rates.daemon.push(await daemonRate(sink.port));
      const postfix = await postfixRates(sink.port, POSTFIX_MESSAGES, CONNECTIONS);
      rates.postfix.push(postfix.relaying);
      rates.emptying.push(postfix.emptying);
    }
  } finally {
    await sink.stop();
  }
  const ratioTo = (name) => median(rates.daemon.map((rate, round) => rate / rates[name][round]));
  const figures = {
    messages: MESSAGES,
    connections: CONNECTIONS,
    daemon: median(rates.daemon),
    pool: median(rates.pool),
    postfix: median(rates.postfix),
    toPool: ratioTo('pool'),
    postfixEmptying: median(rates.emptying),
    toPostfix: ratioTo('postfix'),
    toPostfixEmptying: ratioTo('emptying'),
    wanted: WANTED,
  };
  print(`${MESSAGES} messages over ${CONNECTIONS} connections: ${figures.daemon.toFixed(0)}/s`);
  print(
    `nodemailer's pool composing and sending the same: ${figures.pool.toFixed(0)}/s, ratio ${figures.toPool.toFixed(2)} (at least ${WANTED.toPool})`,
  );
  print(
    `Postfix relaying the same: ${figures.postfix.toFixed(0)}/s, ratio ${figures.toPostfix.toFixed(1)} (at least ${WANTED.toPostfix}); emptying a full queue: ${figures.postfixEmptying.toFixed(0)}/s, ratio ${figures.toPostfixEmptying.toFixed(1)}`,
  );
  return figures;
}

/** Messages a second of nodemailer's pool. */
async function poolRate(port) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [POOL, port, MESSAGES, CONNECTIONS].map(String),
  );
  return (MESSAGES * 1000) / JSON.parse(stdout).ms;
}

/** Messages a second of the daemon, from the first claim to the commit of the last outcome. */
async function daemonRate(port) {
  const server = new BenchServer();
  try {
    await server.start({ sending: false });
    await server.addTenant('acme', port, { connections: CONNECTIONS });
    await server.fill('acme', MESSAGES);
    await server.stop();
    await server.start({
      nodeFlags: process.env.BENCH_PROFILE
        ? ['--cpu-prof', `--cpu-prof-dir=${process.env.BENCH_PROFILE}`]
        : [],
    });
    return await drained(server, MESSAGES);
  } finally {
    await server.remove();
  }
}

/** Waits until the last of `count` messages is sent and committed, and gives the rate since the first claim. */
export async function drained(server, count) {
  const db = server.look();
  const left = db.prepare(
    "SELECT COALESCE(SUM(n), 0) AS n FROM message_counts WHERE state NOT IN ('sent', 'error')",
  );
  while (left.get().n > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const ended = Date.now();
  const { sent } = db
    .prepare("SELECT COALESCE(SUM(n), 0) AS sent FROM message_counts WHERE state = 'sent'")
    .get();
  if (sent < count) throw new Error(`Only ${sent} of ${count} messages were sent.`);
  const { began } = db.prepare('SELECT MIN(claimed_at) AS began FROM messages').get();
  db.close();
  return (count * 1000) / (ended - began);
}

// How fast the daemon drains its queue, beside nodemailer's own pool composing and sending the same messages over as many connections to the
// same sink. The daemon is the installed one; its time ends when the last `sent` is committed.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { BenchServer } from './lib/server.js';
import { startSink } from './lib/sink.js';
import { median } from './statistics.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const MESSAGES = 5000;
const CONNECTIONS = 10;
const WANTED = 0.85;
const POOL = fileURLToPath(new URL('lib/nodemailer-pool.js', import.meta.url));

export async function drain(print) {
  const sink = await startSink();
  const rates = { daemon: [], pool: [] };
  try {
    for (let round = 0; round < ROUNDS; round++) {
      rates.pool.push(await poolRate(sink.port));
      rates.daemon.push(await daemonRate(sink.port));
    }
  } finally {
    await sink.stop();
  }
  const ratio = median(rates.daemon.map((rate, round) => rate / rates.pool[round]));
  print(
    `${MESSAGES} messages, ${CONNECTIONS} connections: ${median(rates.daemon).toFixed(0)}/s, nodemailer's pool ${median(rates.pool).toFixed(0)}/s, ratio ${ratio.toFixed(2)} (at least ${WANTED})`,
  );
  return {
    messages: MESSAGES,
    connections: CONNECTIONS,
    daemon: median(rates.daemon),
    pool: median(rates.pool),
    ratio,
    wanted: WANTED,
  };
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
  while (left.get().n > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  const ended = Date.now();
  const { sent } = db
    .prepare("SELECT COALESCE(SUM(n), 0) AS sent FROM message_counts WHERE state = 'sent'")
    .get();
  if (sent < count) throw new Error(`Only ${sent} of ${count} messages were sent.`);
  const { began } = db.prepare('SELECT MIN(claimed_at) AS began FROM messages').get();
  db.close();
  return (count * 1000) / (ended - began);
}

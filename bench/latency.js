// How long a message takes from its POST to the DATA command at its server: alone, beside nodemailer on a warm connection; while 100,000
// low-priority messages of the same account are being sent; and while another tenant's are.
import { Agent, request } from 'node:http';
import nodemailer from 'nodemailer';
import { monotonicMs } from './lib/clock.js';
import { BenchServer, nodemailerMessage, tokenOf, wireMessage } from './lib/server.js';
import { startSink } from './lib/sink.js';
import { startWatchedSink } from './lib/watched-sink.js';
import { median, percentile } from './statistics.js';

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const PROBES = 60;
const PAUSE_MS = 15;
const NEIGHBOURS = 100_000;
const WANTED = { idleToRaw: 3, idleP99ToMedian: 5, busyToIdle: 4, neighbourP99ToIdleP99: 3 };

export async function latency(print) {
  const arrivals = new Map();
  const sink = await startWatchedSink((recipient, at) => {
    arrivals.get(recipient)?.(at);
    arrivals.delete(recipient);
  });
  const crowd = await startSink();
  const server = new BenchServer();
  const arrival = (recipient) => new Promise((resolve) => arrivals.set(recipient, resolve));
  const agent = new Agent({ keepAlive: true });
  const transport = nodemailer.createTransport({
    pool: true,
    host: '127.0.0.1',
    port: sink.port,
    maxConnections: 1,
    maxMessages: Number.POSITIVE_INFINITY,
    ignoreTLS: true,
  });
  let n = 0;
  const probe = async (send) => {
    const recipient = `p${n++}@example.net`;
    const arrived = arrival(recipient);
    const began = monotonicMs();
    await send(recipient);
    return (await arrived) - began;
  };
  const raw = (recipient) => transport.sendMail({ ...nodemailerMessage(recipient), to: recipient });
  const posted = (tenantId) => (recipient) =>
    post(server, agent, tenantId, wireMessage(recipient, { to: recipient, priority: 'immediate' }));
  const series = async (send, probes = PROBES) => {
    const took = [];
    for (let i = 0; i < probes; i++) {
      took.push(await probe(send));
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    return took;
  };
  try {
    await server.start();
    await server.addTenant('acme', sink.port);
    await server.addTenant('globex', crowd.port);
    await series(raw);
    await series(posted('acme'));
    const idle = [];
    const reference = [];
    for (let round = 0; round < ROUNDS; round++) {
      reference.push(await series(raw));
      idle.push(await series(posted('acme')));
    }
    await server.fill('globex', NEIGHBOURS, { priority: 'low' }, 'crowd');
    const neighbour = [];
    for (let round = 0; round < ROUNDS; round++) neighbour.push(await series(posted('acme')));
    refuseEmpty(await status(server, 'globex'), 'The neighbour had nothing left to send.');
    await server.clientOf('globex').suspend();
    await server.fill('acme', NEIGHBOURS, { priority: 'low' }, 'own');
    const busy = [];
    for (let round = 0; round < ROUNDS; round++) busy.push(await series(posted('acme')));
    refuseEmpty(await status(server, 'acme'), 'The account had nothing left to send.');
    return report(print, { reference, idle, neighbour, busy });
  } finally {
    transport.close();
    agent.destroy();
    await server.remove();
    sink.stop();
    await crowd.stop();
  }
}

async function status({ url }, tenantId) {
  const answer = await fetch(`${url}/status`, { headers: { 'X-API-Token': tokenOf(tenantId) } });
  return await answer.json();
}

function refuseEmpty({ pending_messages: pending }, complaint) {
  if (pending < 100) throw new Error(complaint);
}

function report(print, { reference, idle, neighbour, busy }) {
  const medians = (rounds) => median(rounds.map(median));
  const p99s = (rounds) => percentile(rounds.flat(), 99);
  const figures = {
    rawMs: medians(reference),
    idleMs: medians(idle),
    idleP99Ms: p99s(idle),
    busyMs: medians(busy),
    neighbourMs: medians(neighbour),
    neighbourP99Ms: p99s(neighbour),
    idleToRaw: median(idle.map((round, i) => median(round) / median(reference[i]))),
  };
  figures.idleP99ToMedian = figures.idleP99Ms / figures.idleMs;
  figures.busyToIdle = figures.busyMs / figures.idleMs;
  figures.neighbourP99ToIdleP99 = figures.neighbourP99Ms / figures.idleP99Ms;
  const say = (what, name) => print(`${what}: ${figures[name].toFixed(2)} (at most ${WANTED[name]})`);
  print(
    `POST to DATA, median: idle ${figures.idleMs.toFixed(2)} ms, nodemailer warm ${figures.rawMs.toFixed(2)} ms`,
  );
  say('idle, as a ratio to nodemailer on a warm connection', 'idleToRaw');
  say('p99 of the idle ones as a ratio to their median', 'idleP99ToMedian');
  say(`immediate, ${NEIGHBOURS} low ones of its account being sent, ratio of medians`, 'busyToIdle');
  say(`a small tenant beside one with ${NEIGHBOURS} messages due, ratio of p99`, 'neighbourP99ToIdleP99');
  return { ...figures, wanted: WANTED };
}

function post(server, agent, tenantId, message) {
  return new Promise((resolve, reject) => {
    const call = request(
      `${server.url}/commands/add-messages`,
      {
        method: 'POST',
        agent,
        headers: { 'X-API-Token': tokenOf(tenantId), 'Content-Type': 'application/json' },
      },
      (answer) => answer.resume().on('end', resolve),
    );
    call.on('error', reject);
    call.end(JSON.stringify({ messages: [message] }));
  });
}

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import type { MessageWire } from '../../src/core/wire.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';
import { type AfterTest, TestServer } from '../support/test-server.js';
import { DaemonLife } from './daemon-life.js';
import { type Kill, planKills } from './kill-plan.js';
import { Seeded } from './seeded.js';
import { SendingClient } from './sending-client.js';

const POINT_WITHIN_MS = 60_000;
const SMTP_TAKES_MS = 8;
const STUCK_AFTER_MS = 60_000;
/** With so many on their way the clients wait: what is left in the end has to be drained. */
const LARGEST_BACKLOG = 500;
const OPEN = `SELECT tenant_id, id, state, claim, retry_count, handed_over, due_at, lease_until, error FROM messages
  WHERE state NOT IN ('sent', 'error', 'uncertain')`;
const TENANTS = { retry: { max_connections: 4 }, hold: { max_connections: 3 } } as const;
type TenantId = keyof typeof TENANTS;
const TENANT_IDS = ['retry', 'hold'] as const satisfies readonly TenantId[];
/** A message that was being handed over at a kill. */
interface Uncertain {
  tenant: TenantId;
  id: string;
  /** Which handing over it was: a kill during recovery finds those of the kill before it again. */
  claim: string;
}

/** Rows as the disk has them, whether a daemon runs or not. */
function read(server: TestServer, query: string): unknown[] {
  const raw = new Database(server.file('mail_service.db'), { readonly: true, timeout: 5000 });
  try {
    return raw.prepare(query).all();
  } finally {
    raw.close();
  }
}

/** What was being handed over when the daemon ended. */
function uncertainOf(server: TestServer): Uncertain[] {
  return read(
    server,
    `SELECT tenant_id AS tenant, id, pk || ':' || claim AS claim FROM messages
       WHERE state = 'sending' AND handed_over = 1`,
  ) as Uncertain[];
}

/** Runs one daemon to the kill. */
async function liveAndDie(
  server: TestServer,
  port: number,
  kill: Kill,
  clients: readonly SendingClient[],
  hasRoom: () => boolean,
): Promise<void> {
  const armed = kill.at === 'point' ? `${kill.point}:${kill.passes}` : undefined;
  const life = new DaemonLife(server, port, armed);
  if (kill.at === 'recovery') {
    await life.beginsRecovery();
    await sleep(kill.afterMs);
    await life.kill();
    return;
  }
  // What is left from before may bring it to its point before it serves.
  const isServing = await Promise.race([life.serving.then(() => true), life.ended.then(() => false)]);
  const posting = isServing ? clients.map((client) => client.postUntilEnd(life, hasRoom)) : [];
  if (kill.at === 'moment') {
    await sleep(kill.afterMs);
    await life.kill();
  } else {
    const signal = await Promise.race([life.ended, sleep(POINT_WITHIN_MS, 'never', { ref: false })]);
    const troubles = clients.map(({ trouble }) => String(trouble)).join('; ');
    expect(signal, `end at ${armed}; clients: ${troubles}; log: ${life.said}`).toBe('SIGKILL');
  }
  await Promise.all(posting);
}

/** A server whose daemons the test starts itself, with both tenants. */
async function makeServer(afterTest: AfterTest, port: number, smtp: SmtpTestServer): Promise<TestServer> {
  const server = await TestServer.create(afterTest, {
    port,
    env: { GMP_API_TOKEN: randomBytes(24).toString('hex') },
  });
  mkdirSync(server.directory, { mode: 0o700 });
  writeFileSync(server.file('encryption.key'), randomBytes(32), { mode: 0o600 });
  const life = new DaemonLife(server, port);
  await life.serving;
  for (const id of TENANT_IDS) {
    await server.admin.putTenant({ tenant_id: id, on_uncertain: id });
    await server.addAccount(id, smtp, TENANTS[id]);
  }
  await life.kill();
  return server;
}

async function listAll(server: TestServer, tenant: TenantId, filter: object): Promise<MessageWire[]> {
  const all: MessageWire[] = [];
  let cursor: string | undefined;
  do {
    const page = await server.admin.listMessages({
      tenant_id: tenant,
      limit: 1000,
      ...filter,
      ...(cursor === undefined ? {} : { cursor }),
    });
    all.push(...page.messages);
    cursor = page.next_cursor;
  } while (cursor !== undefined);
  return all;
}

/** How many messages have no outcome and are not held, for the whole server. */
function openOf(server: TestServer): number {
  return read(server, OPEN).length;
}

/**
 * Waits until every message has its outcome or is held. What waits minutes after a second interruption is not waited for.
 *
 * @throws Error with what is left when that does not become less for a minute.
 */
async function drained(server: TestServer, life: DaemonLife): Promise<void> {
  let [least, since] = [Number.POSITIVE_INFINITY, Date.now()];
  for (let open = openOf(server); open > 0; open = openOf(server)) {
    if (open < least) [least, since] = [open, Date.now()];
    if (Date.now() - since > STUCK_AFTER_MS) {
      const left = read(server, `${OPEN} LIMIT 5`);
      throw new Error(`${open} are left: ${JSON.stringify(left)}; log: ${life.said}`);
    }
    for (const tenant of TENANT_IDS)
      await server.admin.retryMessages(tenant, { filter: { status: 'deferred' } });
    await sleep(200);
  }
}

/** A free port below those that the system gives to outgoing connections: between two daemons nobody else takes it. */
async function portOf(random: Seeded): Promise<number> {
  for (;;) {
    const port = random.whole(20_000, 32_000);
    const probe = createServer().listen(port, '127.0.0.1');
    const isFree = await once(probe, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    probe.close();
    await once(probe, 'close');
    return port;
  }
}

describe('a daemon that is killed again and again', () => {
  const seed = Number(process.env.SOAK_SEED ?? randomBytes(4).readUInt32LE());
  const random = new Seeded(seed);
  const plan = planKills(random);

  it(`${plan.length} times, at every step of a delivery, at random moments and while it recovers, loses nothing, repeats only what was being handed over, and repeats nothing of a tenant that holds (SOAK_SEED=${seed})`, async ({
    onTestFinished,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none', auth: { user: 'app', password: 'swordfish' } });
    onTestFinished(() => smtp.close());
    smtp.onData = () => sleep(random.whole(0, SMTP_TAKES_MS)).then(() => undefined);
    const port = await portOf(random);
    const server = await makeServer(onTestFinished, port, smtp);
    const options = { url: server.url, token: server.adminToken, random };
    const clients = {
      retry: new SendingClient('retry', options),
      hold: new SendingClient('hold', options),
    };
    const hasRoom = (): boolean =>
      clients.retry.acknowledged.size + clients.hold.acknowledged.size - smtp.messages.length <
      LARGEST_BACKLOG;
    const copies = (): Map<string, number> => {
      const counts = new Map<string, number>();
      for (const { raw } of smtp.messages) {
        const id = /^X-Genro-Mail-ID: (\S+)/m.exec(raw.toString('latin1'))?.[1] ?? '';
        counts.set(id, (counts.get(id) ?? 0) + 1);
      }
      return counts;
    };

    /** How often each message was cut off while it was handed over. */
    const cutOff = new Map<string, Set<string>>();
    let before = 0;
    for (const [i, kill] of plan.entries()) {
      const about = `kill ${i + 1} of seed ${seed}, ${JSON.stringify(kill)}`;
      await liveAndDie(server, port, kill, Object.values(clients), hasRoom).catch((error: unknown) => {
        throw new Error(about, { cause: error });
      });
      const uncertain = uncertainOf(server);
      for (const tenant of TENANT_IDS) {
        const window = uncertain.filter((one) => one.tenant === tenant).map(({ id }) => id);
        expect(window.length, `${about}: ${window}`).toBeLessThanOrEqual(TENANTS[tenant].max_connections);
      }
      if (kill.at === 'recovery') expect(before, `${about}: something to recover`).toBeGreaterThan(0);
      before = uncertain.length;
      for (const { id, claim } of uncertain) cutOff.set(id, (cutOff.get(id) ?? new Set()).add(claim));
    }

    const life = new DaemonLife(server, port);
    await life.serving;
    await Promise.all(Object.values(clients).map((client) => client.finish()));
    await drained(server, life);

    const received = copies();
    const held = new Set((await listAll(server, 'hold', { status: 'uncertain' })).map(({ id }) => id));
    const acknowledged = [...clients.retry.acknowledged, ...clients.hold.acknowledged];
    expect(acknowledged.length).toBeGreaterThan(plan.length);
    expect(
      acknowledged.filter((id) => !received.has(id) && !held.has(id)),
      `lost, seed ${seed}`,
    ).toEqual([]);
    const repeated = [...received].filter(([, count]) => count > 1);
    expect(
      repeated.filter(([id, count]) => !id.startsWith('retry-') || count > 1 + (cutOff.get(id)?.size ?? 0)),
      `repeated without a cause, seed ${seed}`,
    ).toEqual([]);
    // Repeats are the same message to whoever gets them twice.
    const messageIds = new Set(smtp.messages.map(({ messageId }) => messageId));
    expect(messageIds.size).toBe(received.size);

    // Held is exactly what was cut off, and both ways of asking list it.
    const cutOffAndHeld = [...cutOff.keys()].filter((id) => id.startsWith('hold-')).sort();
    expect([...held].sort()).toEqual(cutOffAndHeld);
    expect(held.size, `held, seed ${seed}`).toBeGreaterThan(0);
    const listed = await server.json(
      ...['-t', 'hold', 'messages', 'list', '--status', 'uncertain', '--limit', '1000'],
    );
    expect((listed.messages as MessageWire[]).map(({ id }) => id).sort()).toEqual(cutOffAndHeld);
    expect(await listAll(server, 'retry', { status: 'uncertain' })).toEqual([]);

    // Who looks into the server's own mailbox can settle each: what is there was sent, the rest is sent now.
    for (const id of held) {
      const outcome = received.has(id) ? 'sent' : 'retry';
      await server.admin.resolveMessage('hold', id, { outcome });
    }
    await drained(server, life);
    const all = await Promise.all(TENANT_IDS.map((tenant) => listAll(server, tenant, {})));
    expect(all.flat().filter(({ status }) => status !== 'sent')).toEqual([]);
    const inTheEnd = copies();
    expect(acknowledged.filter((id) => !inTheEnd.has(id))).toEqual([]);
    expect([...inTheEnd].filter(([id, count]) => id.startsWith('hold-') && count > 1)).toEqual([]);
    await life.kill();
  }, 1_800_000);
});

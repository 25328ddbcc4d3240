import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'vitest';
import { until } from '../support/processes.js';
import { startSmtpServer } from '../support/smtp-servers.js';
import { message, TestServer, untilStatus } from '../support/test-server.js';

const COUNT = 1000;
const CONNECTIONS = 5;
/** How many messages the sink has when the daemon is killed. */
const KILLS_AT = [150, 450, 750];

const idOf = (raw: Buffer): string => /^X-Genro-Mail-ID: (\S+)/m.exec(raw.toString('latin1'))?.[1] ?? '';

describe.concurrent('a daemon that is killed', () => {
  it('three times while it drains 1,000 messages loses none and repeats at most what was on its connections', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    // A server that takes its time, so that every kill comes in the middle.
    smtp.onData = () => sleep(5).then(() => undefined);
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    await server.addAccount('acme', smtp, { max_connections: CONNECTIONS });
    const ids = Array.from({ length: COUNT }, (_, n) => `m${n}`);
    expect(await acme.addMessages({ messages: ids.map((id) => message(id)) })).toEqual({
      queued: COUNT,
      rejected: [],
    });

    for (const count of KILLS_AT) {
      await smtp.waitFor(count);
      await server.kill();
      expect(smtp.messages.length).toBeLessThan(COUNT);
      await server.start();
    }
    await until(async () => (await acme.status()).pending_messages === 0, 'all are sent', 30_000);
    const received = smtp.messages.map(({ raw }) => idOf(raw));
    expect(new Set(received)).toEqual(new Set(ids));
    expect(received.length - COUNT).toBeLessThanOrEqual(KILLS_AT.length * CONNECTIONS);
    const { messages } = await acme.listMessages({ status: 'sent', limit: COUNT });
    expect(messages).toHaveLength(COUNT);
    // A repeated message is the same message to whoever gets it twice.
    const messageIds = new Map(smtp.messages.map(({ raw, messageId }) => [idOf(raw), messageId]));
    for (const { raw, messageId } of smtp.messages) expect(messageId).toBe(messageIds.get(idOf(raw)));
  });

  it('right after it acknowledged messages still has them', async ({ onTestFinished, expect }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const server = await TestServer.running(onTestFinished, { env: { GMP_SCHEDULER_ACTIVE: 'false' } });
    const acme = await server.addTenant();
    await server.addAccount('acme', smtp);
    const ids = Array.from({ length: 20 }, (_, n) => `m${n}`);
    const answers = await Promise.all(ids.map((id) => acme.addMessages({ messages: [message(id)] })));
    await server.kill();
    expect(answers.every(({ queued }) => queued === 1)).toBe(true);
    server.env.GMP_SCHEDULER_ACTIVE = 'true';
    await server.start();
    const received = (await smtp.waitFor(ids.length)).map(({ raw }) => idOf(raw));
    expect(received.sort()).toEqual(ids.sort());
  });

  it('while it hands a message over holds it for the tenant that asked for that, and never sends it twice', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    await server.admin.putTenant({ tenant_id: 'acme', on_uncertain: 'hold' });
    await server.addAccount('acme', smtp);
    const offered = new Promise<void>((resolve) => {
      smtp.onData = () => {
        resolve();
        return new Promise(() => {});
      };
    });
    await acme.addMessages({ messages: [message('m1')] });
    await offered;
    await server.kill();
    smtp.onData = () => undefined;
    await server.start();
    expect(await acme.getMessage(undefined, 'm1')).toMatchObject({ status: 'uncertain' });
    await acme.addMessages({ messages: [message('m2')] });
    await untilStatus(acme, 'm2', 'sent');
    expect(smtp.messages.map(({ raw }) => idOf(raw))).toEqual(['m2']);
  });
});

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from 'vitest';
import type { TlsMode } from '../../src/core/types.js';
import { testCertificates } from '../support/certificates.js';
import { until } from '../support/processes.js';
import { dialogue, startRawServer } from '../support/raw-server.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';
import { type AfterTest, message, TestServer, untilStatus } from '../support/test-server.js';

const auth = { user: 'relay', password: 'swordfish ✓' };
const eml = (subject: string): string =>
  `From: app@example.com\r\nTo: someone@example.net\r\nSubject: ${subject}\r\n\r\nHello there\r\n`;

/** One daemon serves every test of this file; each has a tenant of its own. */
const closers: Array<() => void | Promise<void>> = [];
let server: TestServer;
let caFile: string;

beforeAll(async () => {
  server = await TestServer.running((close) => closers.push(close));
  caFile = join(server.home, 'ca.pem');
  writeFileSync(caFile, (await testCertificates()).caPem);
});

afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

async function smtpServer(afterTest: AfterTest, settings: SmtpServerSettings) {
  const smtp = await startSmtpServer(settings);
  afterTest(() => smtp.close());
  return smtp;
}

/** Adds an account through the program, as an operator does. */
async function addAccount(tenant: string, port: number, tls: TlsMode, ...flags: string[]) {
  const call = ['-t', tenant, 'accounts', 'add', '--host', '127.0.0.1', '--port', String(port), '--tls', tls];
  const login = ['--user', auth.user, '--password-stdin'];
  const result = await server.runWith({ input: `${auth.password}\n` }, ...call, ...login, ...flags);
  if (result.code !== 0) throw new Error(`accounts add ended with ${result.code}: ${result.stderr}`);
}

const send = (tenant: string, id: string, ...flags: string[]) =>
  server.runWith({ input: eml(`About ${id}`) }, tenant, 'send', '-', '--id', id, ...flags);

describe.concurrent('delivery', () => {
  it.for(['none', 'starttls', 'ssl'] as const)(
    'over %s takes what `send` and what add-messages queued, within a second and without run-now',
    async (tls, { onTestFinished, expect }) => {
      const smtp = await smtpServer(onTestFinished, { tls, auth });
      const tenant = `over-${tls}`;
      const client = await server.addTenant(tenant);
      await addAccount(tenant, smtp.port, tls, ...(tls === 'none' ? [] : ['--tls-ca', caFile]));

      expect(await send(tenant, 'by-file')).toMatchObject({
        code: 0,
        stdout: expect.stringContaining('Queued message by-file'),
      });
      const queuedAt = Date.now();
      const [byFile] = await smtp.waitFor(1);
      expect(Date.now() - queuedAt).toBeLessThan(1000);
      expect(byFile).toMatchObject({
        from: 'app@example.com',
        to: ['someone@example.net'],
        user: auth.user,
        secure: tls !== 'none',
      });
      expect(byFile?.raw.toString()).toContain('Subject: About by-file');

      const answer = await client.addMessages({
        messages: [message('by-http', { to: ['a@example.net', 'b@example.net'] })],
      });
      expect(answer).toEqual({ queued: 1, rejected: [] });
      const byHttp = (await smtp.waitFor(2))[1];
      expect(byHttp).toMatchObject({ to: ['a@example.net', 'b@example.net'], secure: tls !== 'none' });
      expect(byHttp?.raw.toString()).toContain('X-Genro-Mail-ID: by-http');
      for (const id of ['by-file', 'by-http']) {
        const { recipients } = await untilStatus(client, id, 'sent');
        expect(recipients.every(({ status, code }) => status === 'sent' && code === 250)).toBe(true);
      }
    },
  );

  it('waits for deferred_ts and then needs no push', async ({ onTestFinished, expect }) => {
    const smtp = await smtpServer(onTestFinished, { tls: 'none' });
    const client = await server.addTenant('deferred');
    await server.addAccount('deferred', smtp);
    const due = Date.now() / 1000 + 3;
    await client.addMessages({ messages: [message('later', { deferred_ts: due }), message('now')] });
    expect(await client.getMessage(undefined, 'later')).toMatchObject({ status: 'deferred' });
    expect((await smtp.waitFor(1))[0]?.raw.toString()).toContain('About now');
    await smtp.waitFor(2);
    expect(Date.now() / 1000).toBeGreaterThanOrEqual(due);
    await untilStatus(client, 'later', 'sent');
  });

  it('takes the more urgent first, and equals in the order they came', async ({ onTestFinished, expect }) => {
    const smtp = await smtpServer(onTestFinished, { tls: 'none' });
    const client = await server.addTenant('urgent');
    await server.addAccount('urgent', smtp, { max_connections: 1 });
    let release = () => {};
    const isOffered = new Promise<void>((offered) => {
      smtp.onData = () => {
        offered();
        return new Promise((resolve) => {
          release = () => resolve(undefined);
        });
      };
    });
    await client.addMessages({ messages: [message('first')] });
    await isOffered;
    smtp.onData = () => undefined;
    await client.addMessages({
      messages: [
        message('low', { priority: 'low' }),
        message('medium-1'),
        message('medium-2', { priority: 2 }),
        message('immediate', { priority: 'immediate' }),
        message('high', { priority: 1 }),
      ],
    });
    release();
    const order = (await smtp.waitFor(6)).map(
      ({ raw }) => /^X-Genro-Mail-ID: (\S+)/m.exec(raw.toString())?.[1],
    );
    expect(order).toEqual(['first', 'immediate', 'high', 'medium-1', 'medium-2', 'low']);
  });

  it('goes on at once when the limit that held it is raised', async ({ onTestFinished, expect }) => {
    const smtp = await smtpServer(onTestFinished, { tls: 'none' });
    const client = await server.addTenant('limited');
    await server.addAccount('limited', smtp, { limit_per_day: 1, max_connections: 1 });
    await client.addMessages({ messages: [message('first'), message('second')] });
    await untilStatus(client, 'first', 'sent');
    await client.addMessages({ messages: [message('third')] });
    expect(smtp.messages).toHaveLength(1);
    const { code } = await server.run('limited', 'accounts', 'update', 'smtp1', '--limit-day', '100');
    expect(code).toBe(0);
    await smtp.waitFor(3);
  });

  it('of what was queued while the daemon was stopped begins when it starts', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await smtpServer(onTestFinished, { tls: 'none' });
    const stopped = await TestServer.running(onTestFinished);
    const client = await stopped.addTenant();
    await stopped.addAccount('acme', smtp);
    await stopped.stop();
    const queued = await stopped.runWith({ input: eml('later') }, 'acme', 'send', '-', '--id', 'later');
    expect(queued).toMatchObject({ code: 0, stderr: expect.stringContaining('mail-proxy start alpha') });
    await stopped.start();
    await smtp.waitFor(1);
    await untilStatus(client, 'later', 'sent');
  });
});

describe.concurrent('a server that cannot be trusted', () => {
  it('gets neither a login nor a message when it offers no STARTTLS: TLS is never given up', async ({
    onTestFinished,
    expect,
  }) => {
    const raw = await startRawServer(dialogue());
    onTestFinished(() => raw.close());
    const client = await server.addTenant('stripped');
    await addAccount('stripped', raw.port, 'starttls');
    const test = await server.json('stripped', 'accounts', 'test', 'smtp1');
    expect(test).toMatchObject({
      exit: 1,
      ok: false,
      code: 'account_test_failed',
      error: expect.stringContaining('offers no STARTTLS'),
    });
    await client.addMessages({ messages: [message('m1')] });
    await until(() => server.log.includes("'smtp1' of tenant 'stripped' waits"), 'the daemon tried');
    // The lane may be trying again at this very moment; then it waits again.
    expect(await untilStatus(client, 'm1', 'pending')).toMatchObject({ retry_count: 0 });
    const verbs = new Set(raw.lines.map((line) => line.split(' ')[0]));
    expect([...verbs].filter((verb) => verb !== 'EHLO' && verb !== 'STARTTLS' && verb !== 'QUIT')).toEqual(
      [],
    );
  });

  it.for([
    ['starttls', 'expired', 'has expired'],
    ['ssl', 'wrongHost', 'is not for 127.0.0.1'],
    ['ssl', 'selfSigned', '--tls-ca'],
  ] as const)(
    'over %s with a certificate that is %s is refused, and the message stays queued',
    async ([tls, certificate, words], { onTestFinished, expect }) => {
      const smtp = await smtpServer(onTestFinished, { tls, certificate, auth });
      const tenant = `cert-${certificate}`;
      const client = await server.addTenant(tenant);
      await server.addAccount(tenant, smtp);
      await client.addMessages({ messages: [message('m1')] });
      const test = await server.json(tenant, 'accounts', 'test', 'smtp1');
      expect(test).toMatchObject({
        exit: 1,
        code: 'account_test_failed',
        error: expect.stringContaining(words),
      });
      await until(() => server.log.includes(`of tenant '${tenant}' waits`), 'the daemon tried');
      // The lane may be trying again at this very moment; then it waits again.
      expect(await untilStatus(client, 'm1', 'pending')).toMatchObject({ retry_count: 0 });
      expect(smtp.seen).toMatchObject({ auth: [], mail: [], rcpt: [] });
    },
  );

  it('because its CA is unknown gets the waiting message once the CA is named with --tls-ca', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await smtpServer(onTestFinished, { tls: 'starttls', auth });
    const client = await server.addTenant('private-ca');
    await addAccount('private-ca', smtp.port, 'starttls');
    await client.addMessages({ messages: [message('m1')] });
    const failed = await server.run('private-ca', 'accounts', 'test', 'smtp1');
    expect(failed).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/FAILED +tls/),
      stderr: expect.stringContaining('--tls-ca FILE'),
    });
    await until(() => server.log.includes("of tenant 'private-ca' waits"), 'the daemon tried');
    await untilStatus(client, 'm1', 'pending');
    expect(smtp.seen).toMatchObject({ auth: [], mail: [] });

    const update = ['private-ca', 'accounts', 'update', 'smtp1', '--tls-ca', caFile];
    expect(await server.json(...update)).toMatchObject({ exit: 2, ok: false });
    expect(await server.runWith({ input: auth.password }, ...update, '--password-stdin')).toMatchObject({
      code: 0,
    });
    await smtp.waitFor(1);
    await untilStatus(client, 'm1', 'sent');
    expect(await server.json('private-ca', 'accounts', 'test', 'smtp1')).toMatchObject({ exit: 0, ok: true });
  });
});

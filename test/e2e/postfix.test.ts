import { describe, it } from 'vitest';
import { startPostfix, startSmtpSink } from '../support/postfix.js';
import { until } from '../support/processes.js';
import { startSmtpServer } from '../support/smtp-servers.js';
import { message, TestServer, untilStatus } from '../support/test-server.js';

describe.concurrent('Postfix', () => {
  it('in the shape of its smtp-sink receives 200 messages, each once', async ({ onTestFinished, expect }) => {
    const sink = await startSmtpSink(onTestFinished);
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    await server.admin.putAccount({
      id: 'sink',
      tenant_id: 'acme',
      host: '127.0.0.1',
      port: sink.port,
      tls: 'none',
    });
    const ids = Array.from({ length: 200 }, (_, n) => `m${n}`);
    await acme.addMessages({ messages: ids.map((id) => message(id)) });
    await until(async () => (await acme.status()).pending_messages === 0, 'all are sent', 20_000);
    const received = sink.messages().map((text) => /^X-Genro-Mail-ID: (\S+)/m.exec(text)?.[1]);
    expect(received.sort()).toEqual(ids.sort());
    expect((await acme.listMessages({ status: 'sent', limit: 1000 })).messages).toHaveLength(200);
  });

  it('takes a message over verified STARTTLS and relays it unchanged', async ({ onTestFinished, expect }) => {
    const destination = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => destination.close());
    const postfix = await startPostfix(onTestFinished, destination.port);
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    const account = { id: 'relay', tenant_id: 'acme', host: 'localhost', port: postfix.port };
    await server.admin.putAccount({ ...account, tls: 'starttls', tls_ca: postfix.caPem });
    expect(await server.json('acme', 'accounts', 'test', 'relay')).toMatchObject({ exit: 0, ok: true });

    const subject = 'Grüße ✉ and a line that begins with a dot';
    await acme.addMessages({
      messages: [
        message('m1', { to: ['a@example.net', 'b@example.net'], subject, body: '.dot\r\nÄpfel\r\n' }),
      ],
    });
    const { recipients } = await untilStatus(acme, 'm1', 'sent');
    expect(recipients.map(({ code }) => code)).toEqual([250, 250]);
    const [relayed] = await destination.waitFor(1);
    expect(relayed).toMatchObject({ from: 'app@example.com', to: ['a@example.net', 'b@example.net'] });
    const text = relayed?.raw.toString() ?? '';
    expect(text).toMatch(/using TLSv1\.[23] with cipher/);
    expect(text).toContain('X-Genro-Mail-ID: m1');
    expect(text).toMatch(/\r\n\r\n\.dot\r\n/);
    await until(() => postfix.log().includes('status=sent (250 '), 'Postfix has passed it on');
  });
});

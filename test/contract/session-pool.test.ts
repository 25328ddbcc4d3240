import { describe, expect, test } from 'vitest';
import { MailProxyError } from '../../src/core/errors.js';
import { SmtpFailure } from '../../src/core/smtp-outcome.js';
import { SessionPool, type SessionPoolOptions } from '../../src/delivery/session-pool.js';
import type { SmtpEndpoint } from '../../src/delivery/smtp-options.js';
import { useCleanup } from '../support/cleanup.js';
import { dialogue, startRawServer } from '../support/raw-server.js';
import { startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
const envelope = { from: 'sender@example.com', to: ['a@example.org'] };
const message = Buffer.from('Subject: hello\r\n\r\nbody\r\n');
const mark = async () => {};
const noMark = () => Promise.reject(new Error('The mark was asked for.'));

async function serve() {
  return closing(await startSmtpServer({ tls: 'none' }), (server) => server.close());
}

function pool(endpoint: SmtpEndpoint, options: Partial<SessionPoolOptions> = {}) {
  return closing(new SessionPool(endpoint, { maxConnections: 2, ...options }), (it) => it.destroy());
}

describe('a pool of sessions', () => {
  test('uses a connection again', async () => {
    const server = await serve();
    const lane = pool(server.endpoint());
    for (let i = 0; i < 3; i += 1) await lane.send(envelope, message, mark);
    expect(server.seen.connections).toBe(1);
    expect(lane.size).toBe(1);
  });

  test('opens no more connections than allowed; the rest wait their turn, in order', async () => {
    const server = await serve();
    const lane = pool(server.endpoint());
    const first = await lane.acquire();
    const second = await lane.acquire();
    const turns: number[] = [];
    const waiting = [1, 2].map(async (turn) => {
      const session = await lane.acquire();
      turns.push(turn);
      return session;
    });
    lane.release(second);
    expect(await waiting[0]).toBe(second);
    lane.release(first);
    expect(await waiting[1]).toBe(first);
    expect(turns).toEqual([1, 2]);
    expect(server.seen.connections).toBe(2);
  });

  test('is content with fewer connections where the server lets in no more: no message fails for it', async () => {
    const server = closing(await startSmtpServer({ tls: 'none', options: { maxClients: 2 } }), (it) =>
      it.close(),
    );
    const lane = pool(server.endpoint(), { maxConnections: 5 });
    const outcomes = await Promise.all(Array.from({ length: 20 }, () => lane.send(envelope, message, mark)));
    expect(outcomes.map(({ final }) => final?.code)).toEqual(Array(20).fill(250));
    expect(new Set(server.messages.map(({ sessionId }) => sessionId)).size).toBe(2);
  });

  test('closes a connection that has carried its share', async () => {
    const server = await serve();
    const lane = pool(server.endpoint(), { maxMessages: 2, maxConnections: 1 });
    for (let i = 0; i < 5; i += 1) await lane.send(envelope, message, mark);
    const sessions = server.messages.map(({ sessionId }) => sessionId);
    expect(new Set(sessions).size).toBe(3);
    expect(sessions[0]).toBe(sessions[1]);
  });

  test('closes what nobody used for a while', async () => {
    const server = await serve();
    const lane = pool(server.endpoint(), { idleTimeout: 20 });
    const session = await lane.acquire();
    lane.release(session);
    await expect.poll(() => lane.size).toBe(0);
    expect(session.isUsable).toBe(false);
  });

  test('replaces a session that the server closed while it was idle', async () => {
    const server = await serve();
    const lane = pool(server.endpoint());
    await lane.send(envelope, message, mark);
    await server.dropClients();
    const outcome = await lane.send(envelope, message, mark);
    expect(outcome.failure).toBeNull();
    expect(server.messages).toHaveLength(2);
    expect(lane.size).toBe(1);
  });

  test('asks a session that was idle for long whether it lives, before a message is tried on it', async () => {
    let isDeaf = false;
    const server = closing(
      await startRawServer(
        dialogue({
          RSET: (client) => {
            isDeaf = true;
            client.close();
          },
        }),
      ),
      (raw) => raw.close(),
    );
    const lane = pool(server.endpoint(), { trustFor: -1 });
    await lane.send(envelope, message, mark);
    expect((await lane.send(envelope, message, mark)).failure).toBeNull();
    expect(isDeaf).toBe(true);
    expect(server.lines.filter((line) => line.startsWith('EHLO'))).toHaveLength(2);
  });

  test.each(['421 4.7.0 enough', null])(
    'a used session that ends at MAIL (%j) is replaced at once, a fresh one is not',
    async (bye) => {
      let served = 0;
      const server = closing(
        await startRawServer(
          dialogue({
            MAIL: (client) => {
              served += 1;
              if (served !== 2 && served < 4) return client.write('250 ok\r\n');
              if (bye) client.write(`${bye}\r\n`);
              client.close();
            },
          }),
        ),
        (raw) => raw.close(),
      );
      const lane = pool(server.endpoint());
      await lane.send(envelope, message, mark);
      expect((await lane.send(envelope, message, mark)).failure).toBeNull();
      expect(served).toBe(3);
      // From now on every session ends at MAIL: the used one is replaced, the fresh one's word counts.
      const { failure } = await lane.send(envelope, message, noMark);
      expect(failure).toMatchObject({ step: 'mail', code: bye ? 421 : null, bodyStarted: false });
      expect(served).toBe(5);
    },
  );

  test('a 421 is not held against the next message: the object that is sent again is the message itself', async () => {
    const server = await serve();
    const lane = pool(server.endpoint());
    server.onMail = () => ({ code: 421, message: '4.3.2 not now' });
    expect((await lane.send(envelope, message, noMark)).failure).toMatchObject({ code: 421 });
    server.onMail = () => undefined;
    expect((await lane.send(envelope, message, mark)).failure).toBeNull();
    expect(server.messages[0]?.raw.toString()).toBe(message.toString());
  });

  test('a server that cannot be reached is told to each that asks, and takes up no place', async () => {
    const gone = await startRawServer(dialogue());
    await gone.close();
    const lane = pool(gone.endpoint(), { maxConnections: 1 });
    const results = await Promise.allSettled([lane.acquire(), lane.acquire(), lane.acquire()]);
    for (const result of results) {
      expect(result.status === 'rejected' && result.reason).toBeInstanceOf(SmtpFailure);
    }
    expect(lane.size).toBe(0);
  });

  test('drains: idle ones go at once, the one in use after its message, and nobody gets a new one', async () => {
    const server = await serve();
    const lane = pool(server.endpoint());
    const busy = await lane.acquire();
    const idle = await lane.acquire();
    lane.release(idle);
    const drained = lane.drain();
    await expect(lane.acquire()).rejects.toBeInstanceOf(MailProxyError);
    expect((await busy.send(envelope, message, mark)).failure).toBeNull();
    lane.release(busy);
    await drained;
    expect(lane.size).toBe(0);
    expect([idle.isUsable, busy.isUsable]).toEqual([false, false]);
  });

  test('destroys: what is being opened or sent ends, and whoever waits is told', async () => {
    const silent = closing(await startRawServer(async (client) => void (await client.line())), (raw) =>
      raw.close(),
    );
    const opening = pool(silent.endpoint(), { maxConnections: 1 });
    const asked = [opening.acquire(), opening.acquire()].map((it) => it.catch((error: unknown) => error));
    await opening.destroy();
    expect((await Promise.all(asked)).every((error) => error instanceof Error)).toBe(true);

    const server = await serve();
    const lane = pool(server.endpoint());
    let begun: () => void = () => {};
    const atMark = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const sending = lane.send(envelope, message, async () => {
      begun();
      await destroyed;
    });
    const destroyed = atMark.then(() => lane.destroy());
    expect((await sending).failure).toMatchObject({ bodyStarted: false });
    expect(lane.size).toBe(0);
    expect(server.messages).toEqual([]);
  });

  test('two lanes share no connection, not even with equal host, port and user', async () => {
    const server = closing(
      await startSmtpServer({ tls: 'starttls', auth: { user: 'robot', password: 'right' } }),
      (it) => it.close(),
    );
    const right = pool(server.endpoint());
    await right.send(envelope, message, mark);
    const wrong = pool(server.endpoint({ password: 'wrong' }));
    await expect(wrong.send(envelope, message, noMark)).rejects.toMatchObject({ step: 'auth', code: 535 });
    expect(server.messages).toHaveLength(1);
  });
});

import { beforeEach, describe, expect, test } from 'vitest';
import type { AccountInput } from '../../src/core/account-settings.js';
import type { Message } from '../../src/core/types.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { dialogue, hangUp, startRawServer } from '../support/raw-server.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
const MINUTE = 60_000;
let it: TestDispatch;
beforeEach(async () => {
  it = closing(await openTestDispatch(), (opened) => opened.close());
});

const serve = async (settings: Partial<SmtpServerSettings> = {}) =>
  closing(await startSmtpServer({ tls: 'none', ...settings }), (server) => server.close());
const serveRaw = async (script: Parameters<typeof startRawServer>[0]) =>
  closing(await startRawServer(script), (server) => server.close());
const at = ({ port }: { port: number }, changes: AccountInput = {}): AccountInput => ({
  host: '127.0.0.1',
  port,
  tls: 'none',
  ...changes,
});
const isSent = ({ status }: Message) => status === 'sent';
const isDeferred = ({ status }: Message) => status === 'deferred';
const isError = ({ status }: Message) => status === 'error';
/** Given back after trouble of the account. */
const isReleased = ({ status, error }: Message) => status === 'pending' && error !== null;

describe('sending', () => {
  test('delivers the bytes that were queued and records what the server said', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    const content = Buffer.from('Message-ID: <x@example.com>\r\nSubject: hi\r\n\r\n.dot\r\nline\r\n');
    await it.enqueue('acme', 'm1', { content });
    await it.dispatcher.start();
    const sent = await it.until('acme', 'm1', isSent);
    expect(sent).toMatchObject({
      sentAt: it.clock.now,
      error: null,
      retryCount: 0,
      recipients: [{ state: 'sent', code: 250, reply: expect.any(String) }],
    });
    expect(server.messages).toMatchObject([{ from: 'a@example.com', to: ['b@example.org'] }]);
    expect(server.messages[0]?.raw.toString()).toBe(content.toString());
  });

  test('pitfall 21: a message that arrives while nothing is to be done is sent at once, not at a tick', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.dispatcher.start();
    await it.enqueue('acme', 'first');
    it.dispatcher.wake();
    await it.until('acme', 'first', isSent);
    // The clock stands still and the next tick is a minute away, longer than this test may take.
    await it.enqueue('acme', 'second');
    it.dispatcher.wake();
    await it.until('acme', 'second', isSent);
  });

  test('what was begun in a commit that was undone never goes out, and what is stored again does, once', async () => {
    const server = await serve();
    const offered: string[] = [];
    server.onRcpt = (address) => void offered.push(address);
    await it.account('acme', at(server));
    await it.dispatcher.start();
    await it.enqueue('acme', 'warm');
    it.dispatcher.wake();
    await it.until('acme', 'warm', isSent);
    for (const id of ['m1', 'm2', 'm3']) {
      // The second job fails, so that the transaction is undone and the first is run again.
      const [stored, refused] = await Promise.allSettled([
        it.enqueue('acme', id),
        it.enqueue('nobody', 'other'),
      ]);
      expect([stored.status, refused.status]).toEqual(['fulfilled', 'rejected']);
      it.dispatcher.wake();
      await it.until('acme', id, isSent);
    }
    expect(server.messages.map(({ messageId }) => messageId)).toEqual(
      ['warm', 'm1', 'm2', 'm3'].map((id) => `<${id}@example.com>`),
    );
    // Each was offered twice: the first time for nothing.
    expect(offered).toHaveLength(7);
    expect(it.raw.prepare('SELECT DISTINCT claim FROM messages').pluck().all()).toEqual([1]);
  });

  test('goes by priority, then first come, in a lane', async () => {
    const server = await serve();
    await it.account('acme', at(server, { maxConnections: 1 }));
    await it.enqueue('acme', 'low', { priority: 3 });
    await it.enqueue('acme', 'b');
    await it.enqueue('acme', 'a');
    await it.enqueue('acme', 'now', { priority: 0 });
    await it.dispatcher.start();
    const order = (await server.waitFor(4)).map(({ messageId }) => messageId);
    expect(order).toEqual(['now', 'b', 'a', 'low'].map((id) => `<${id}@example.com>`));
  });

  test('waits for the time of a deferred message and holds nothing else up', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'later', { deferredAt: it.clock.now + MINUTE });
    await it.enqueue('acme', 'now');
    await it.dispatcher.start();
    await it.until('acme', 'now', isSent);
    it.pass(MINUTE - 1);
    expect((await it.message('acme', 'later')).status).toBe('deferred');
    expect(server.messages).toHaveLength(1);
    it.pass(1);
    await it.until('acme', 'later', isSent);
  });

  test('pitfall 15: more than a thousand messages drain', async () => {
    const server = await serve();
    await it.account('acme', at(server, { maxConnections: 50 }));
    const scope = tenantScope('acme');
    const { newMessage } = await import('../support/temp-store.js');
    const many = Array.from({ length: 1100 }, (_, n) => newMessage(`m${n}`));
    await it.store.queue.enqueue(scope, many, it.clock.now);
    await it.dispatcher.start();
    await it.until('acme', 'm1099', isSent);
    while ((await it.store.messages.counts(scope)).sent !== 1100) await server.waitFor(1100);
    expect(new Set(server.messages.map(({ messageId }) => messageId)).size).toBe(1100);
    expect(server.messages).toHaveLength(1100);
  });

  test('pitfall 5: nothing of a tenant that is not active is sent, until it is active again', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.account('globex', at(server));
    await putTenant(it.context, 'acme', { active: false }, {}, 'update');
    await it.enqueue('acme', 'm1');
    await it.enqueue('globex', 'm1');
    await it.dispatcher.start();
    await it.until('globex', 'm1', isSent);
    expect((await it.message('acme', 'm1')).status).toBe('suspended');
    await putTenant(it.context, 'acme', { active: true }, {}, 'update');
    it.dispatcher.wake();
    await it.until('acme', 'm1', isSent);
  });
});

describe('what the server says', () => {
  test('pitfall 14: after a 421 a message is tried again at its time, and delivered', async () => {
    const server = await serve();
    let refusals = 0;
    server.onMail = () => (refusals++ === 0 ? { code: 421, message: '4.3.2 closing' } : undefined);
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    expect(await it.until('acme', 'm1', isDeferred)).toMatchObject({
      retryCount: 1,
      nextAttemptAt: it.clock.now + MINUTE,
      error: expect.stringContaining('closing'),
    });
    it.pass(MINUTE);
    expect((await it.until('acme', 'm1', isSent)).error).toBeNull();
    expect(server.messages).toHaveLength(1);
  });

  test('a 4xx to the body is tried again, later each time, with the same Message-ID', async () => {
    const server = await serve();
    const offered: Array<string | null> = [];
    server.onData = ({ messageId }) => {
      offered.push(messageId);
      return offered.length < 3 ? { code: 451, message: '4.3.0 not now' } : undefined;
    };
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', ({ retryCount }) => retryCount === 1);
    it.pass(MINUTE);
    const second = await it.until('acme', 'm1', ({ retryCount }) => retryCount === 2);
    expect(second.nextAttemptAt).toBe(it.clock.now + 5 * MINUTE);
    it.pass(5 * MINUTE);
    await it.until('acme', 'm1', isSent);
    expect(new Set(offered).size).toBe(1);
  });

  test('pitfall 17: a 5xx ends in error at once, and never counts as sent', async () => {
    const server = await serve();
    server.onData = () => ({ code: 550, message: '5.7.1 spam' });
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    expect(await it.until('acme', 'm1', isError)).toMatchObject({
      error: expect.stringContaining('5.7.1 spam'),
      sentAt: null,
      retryCount: 0,
    });
  });

  test('pitfall 17: of several recipients only the failed are tried again, none twice', async () => {
    const server = await serve();
    let isFirst = true;
    server.onRcpt = (address) => {
      if (address === 'gone@x.example') return { code: 550, message: '5.1.1 no such user' };
      if (address === 'full@x.example' && isFirst) {
        isFirst = false;
        return { code: 452, message: '4.2.2 mailbox full' };
      }
      return undefined;
    };
    await it.account('acme', at(server));
    const to = ['ok@x.example', 'gone@x.example', 'full@x.example'];
    await it.enqueue('acme', 'm1', { envelope: { from: 'a@example.com', to } });
    await it.dispatcher.start();
    const partly = await it.until('acme', 'm1', isDeferred);
    expect(partly.recipients.map(({ state }) => state)).toEqual(['sent', 'error', 'pending']);
    it.pass(MINUTE);
    const over = await it.until('acme', 'm1', isError);
    expect(over.recipients.map(({ state, code }) => [state, code])).toEqual([
      ['sent', 250],
      ['error', 550],
      ['sent', 250],
    ]);
    expect(over.error).toMatch(/^Refused: gone@x\.example \(550 .*no such user\)$/);
    expect(server.messages.map((message) => message.to)).toEqual([['ok@x.example'], ['full@x.example']]);
  });

  test('a message that the server cannot take ends in an error that says why', async () => {
    const server = await serve({ size: 100 });
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1', { content: Buffer.alloc(200, 'x\r\n') });
    await it.dispatcher.start();
    expect((await it.until('acme', 'm1', isError)).error).toMatch(/larger than 127\.0\.0\.1:\d+ accepts/);
  });
});

describe('pitfall 18: a message that cannot be composed', () => {
  test.each(['{', 'null', '{"from":"x"}', '{"headers":"x"}'])(
    'as %s ends in error once, and the rest goes on',
    async (json) => {
      const server = await serve();
      await it.account('acme', at(server));
      await it.enqueue('acme', 'bad', { contentKind: 'composed', content: Buffer.from(json) });
      await it.enqueue('acme', 'good');
      await it.dispatcher.start();
      expect((await it.until('acme', 'bad', isError)).error).toMatch(/internal error/);
      await it.until('acme', 'good', isSent);
      it.pass(MINUTE);
      await it.enqueue('acme', 'next');
      it.dispatcher.wake();
      await it.until('acme', 'next', isSent);
      expect(it.raw.prepare("SELECT claim FROM messages WHERE id = 'bad'").pluck().get()).toBe(1);
      expect(server.messages).toHaveLength(2);
    },
  );

  test('because its content is gone does so too', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'bad');
    await it.enqueue('acme', 'good');
    it.raw.exec('DELETE FROM message_contents WHERE message_pk = (SELECT MIN(pk) FROM messages)');
    await it.dispatcher.start();
    await it.until('acme', 'bad', isError);
    await it.until('acme', 'good', isSent);
  });
});

describe('trouble of an account', () => {
  test('pitfall 16: counts no retry, leaves the server alone, and costs other lanes nothing', async () => {
    const [gone, server] = [await serve(), await serve()];
    await gone.close();
    await it.account('acme', at(gone, { maxConnections: 2 }));
    await it.account('globex', at(server));
    for (const id of ['m1', 'm2', 'm3', 'm4']) {
      await it.enqueue('acme', id);
      await it.enqueue('globex', id);
    }
    await it.dispatcher.start();
    await it.until('acme', 'm1', isReleased);
    // It was claimed too, and may have been given up before it had a connection of its own.
    const released = it.raw.prepare(
      "SELECT COUNT(*) FROM messages WHERE tenant_id = 'acme' AND claim = 1 AND state = 'ready'",
    );
    await it.until('acme', 'm2', () => released.pluck().get() === 2);
    for (const id of ['m1', 'm2', 'm3', 'm4']) await it.until('globex', id, isSent);
    it.pass(1000);
    await it.enqueue('globex', 'm5');
    it.dispatcher.wake();
    await it.until('globex', 'm5', isSent);
    const attempts = it.raw.prepare(
      "SELECT SUM(claim), SUM(retry_count) FROM messages WHERE tenant_id = 'acme'",
    );
    expect(attempts.raw().get()).toEqual([2, 0]);
    expect((await it.message('acme', 'm1')).error).toMatch(/connection refused/);
    expect(it.log.filter((line) => line.includes('waits'))).toHaveLength(1);
    // After the pause one message probes before the others follow.
    it.pass(10_000);
    await it.until('acme', 'm1', () => attempts.raw().get()?.[0 as never] === 3);
  });

  test('keeps the order of what waits: who was first is first again', async () => {
    let isDown = true;
    const server = await serveRaw((client) =>
      dialogue({ greeting: isDown ? '421 not now' : '220 here' })(client),
    );
    await it.account('acme', at(server, { maxConnections: 1 }));
    await it.enqueue('acme', 'first');
    await it.dispatcher.start();
    await it.until('acme', 'first', isReleased);
    it.clock.now += 1000;
    await it.enqueue('acme', 'second');
    isDown = false;
    it.dispatcher.runNow('globex');
    it.dispatcher.runNow('acme');
    await it.until('acme', 'second', isSent);
    expect(server.lines.filter((line) => line.startsWith('Message-ID'))).toEqual([
      'Message-ID: <first@example.com>',
      'Message-ID: <second@example.com>',
    ]);
    expect(it.log.some((line) => line.includes("Account 'smtp1' of tenant 'acme' works again"))).toBe(true);
  });

  test('with the password that does not open holds that account alone, and is told once', async () => {
    const server = await serve({ auth: { user: 'u', password: 'p' } });
    await it.account('acme', at(server, { user: 'u', password: 'p' }));
    await it.account('globex', at(server, { user: 'u', password: 'p' }));
    it.raw.exec("UPDATE accounts SET host = 'localhost' WHERE tenant_id = 'acme'");
    for (const tenant of ['acme', 'globex']) await it.enqueue(tenant, 'm1');
    await it.dispatcher.start();
    await it.until('globex', 'm1', isSent);
    it.pass(MINUTE);
    await it.enqueue('globex', 'm2');
    it.dispatcher.wake();
    await it.until('globex', 'm2', isSent);
    expect((await it.message('acme', 'm1')).status).toBe('pending');
    expect(it.log.filter((line) => line.includes('is held'))).toHaveLength(1);
    await it.account('acme', at(server, { user: 'u', password: 'p' }));
    it.dispatcher.wake();
    await it.until('acme', 'm1', isSent);
  });

  test('charges given back let the lane go on, whatever limit it was told to wait for', async () => {
    let isDown = true;
    const server = await serveRaw((client) => dialogue({ greeting: isDown ? '421 no' : '220 yes' })(client));
    await it.account('acme', at(server, { maxConnections: 3, limitDay: 1 }));
    await it.enqueue('acme', 'm1');
    await it.enqueue('acme', 'm2');
    await it.dispatcher.start();
    it.dispatcher.wake();
    await it.until('acme', 'm1', isReleased);
    isDown = false;
    it.pass(10_000);
    await it.until('acme', 'm1', isSent);
    expect((await it.message('acme', 'm2')).status).toBe('pending');
  });
});

describe('connections', () => {
  test("pitfall 3: a wrong password never goes over another tenant's session", async () => {
    const server = await serve({ auth: { user: 'u', password: 'right' } });
    await it.account('acme', at(server, { user: 'u', password: 'right' }));
    await it.account('globex', at(server, { user: 'u', password: 'wrong' }));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    await it.enqueue('globex', 'm1');
    it.dispatcher.wake();
    const refused = await it.until('globex', 'm1', isReleased);
    expect(refused.error).not.toMatch(/wrong$/);
    expect(server.messages).toHaveLength(1);
    expect(server.seen.connections).toBe(2);
  });

  test('pitfall 4: equal account ids of two tenants are two lanes', async () => {
    const [one, two] = [await serve(), await serve()];
    await it.account('acme', at(one));
    await it.account('globex', at(two));
    for (const tenant of ['acme', 'globex']) {
      const from = `${tenant}@example.com`;
      await it.enqueue(tenant, 'm1', { envelope: { from, to: ['b@x.example'] } });
    }
    await it.dispatcher.start();
    for (const tenant of ['acme', 'globex']) await it.until(tenant, 'm1', isSent);
    expect(one.seen.mail).toEqual(['acme@example.com']);
    expect(two.seen.mail).toEqual(['globex@example.com']);
  });

  test('do not outlive a changed password', async () => {
    const server = await serve({ auth: { user: 'u', password: 'right' } });
    await it.account('acme', at(server, { user: 'u', password: 'right' }));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    await it.account('acme', at(server, { user: 'u', password: 'wrong' }));
    await it.enqueue('acme', 'm2');
    it.dispatcher.wake();
    await it.until('acme', 'm2', isReleased);
    expect(server.messages).toHaveLength(1);
    await it.account('acme', at(server, { user: 'u', password: 'right' }));
    it.dispatcher.wake();
    await it.until('acme', 'm2', isSent);
  });

  test('do not outlive a deleted account, it is ours no more', async () => {
    const server = await serveRaw(dialogue());
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    expect(server.lines).not.toContain('QUIT');
    await it.store.accounts.delete(tenantScope('acme'), 'smtp1', by(it.clock.now), { failWaiting: true });
    it.dispatcher.wake();
    while (!server.lines.includes('QUIT')) await new Promise((resolve) => setImmediate(resolve));
  });

  test('do not outlive a changed address', async () => {
    const [old, next] = [await serve(), await serve()];
    await it.account('acme', at(old));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    await it.account('acme', at(next));
    await it.enqueue('acme', 'm2');
    it.dispatcher.wake();
    await it.until('acme', 'm2', isSent);
    expect([old.messages.length, next.messages.length]).toEqual([1, 1]);
  });

  test('are as many as the account says now, not when its first message went out', async () => {
    const server = await serve();
    const waiting: Array<() => void> = [];
    await it.account('acme', at(server, { maxConnections: 1 }));
    await it.enqueue('acme', 'm0');
    await it.dispatcher.start();
    await it.until('acme', 'm0', isSent);
    server.onData = () => new Promise((resolve) => waiting.push(() => resolve(undefined)));
    await it.account('acme', at(server, { maxConnections: 3 }));
    for (const id of ['m1', 'm2', 'm3', 'm4']) await it.enqueue('acme', id);
    it.dispatcher.wake();
    while (waiting.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect((await it.message('acme', 'm4')).status).toBe('pending');
    server.onData = () => undefined;
    for (const go of waiting) go();
    for (const id of ['m1', 'm2', 'm3', 'm4']) await it.until('acme', id, isSent);
  });
});

describe('limits', () => {
  test('that are raised let waiting messages go at once, not at the end of the old wait', async () => {
    const server = await serve();
    await it.account('acme', at(server, { limitDay: 1 }));
    await it.enqueue('acme', 'm1');
    await it.enqueue('acme', 'm2');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    it.pass(MINUTE);
    expect((await it.message('acme', 'm2')).status).toBe('pending');
    await it.account('acme', at(server, { limitDay: 2 }));
    it.dispatcher.wake();
    await it.until('acme', 'm2', isSent);
  });

  test('let go on when their window is over, without burning an attempt', async () => {
    const server = await serve();
    await it.account('acme', at(server, { limitMinute: 2 }));
    for (const id of ['m1', 'm2', 'm3']) await it.enqueue('acme', id);
    await it.dispatcher.start();
    await it.until('acme', 'm2', isSent);
    it.pass(MINUTE - 1);
    expect((await it.message('acme', 'm3')).status).toBe('pending');
    it.pass(1);
    expect(await it.until('acme', 'm3', isSent)).toMatchObject({ retryCount: 0 });
  });
});

describe('a connection that is lost while the body is handed over', () => {
  const cutting = () => serveRaw(dialogue({ body: hangUp }));

  test('under retry is sent again at its time with the same Message-ID', async () => {
    const server = await cutting();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    expect(await it.until('acme', 'm1', isDeferred)).toMatchObject({ retryCount: 1 });
    it.pass(MINUTE);
    await it.until('acme', 'm1', ({ retryCount }) => retryCount === 2);
    expect(server.lines.filter((line) => line.startsWith('Message-ID'))).toEqual([
      'Message-ID: <m1@example.com>',
      'Message-ID: <m1@example.com>',
    ]);
  });

  test('under hold is held for a person and not sent again', async () => {
    const server = await cutting();
    await putTenant(it.context, 'acme', { onUncertain: 'hold' }, {}, 'update');
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', ({ status }) => status === 'uncertain');
    it.pass(24 * 60 * MINUTE);
    await it.enqueue('acme', 'm2');
    it.dispatcher.wake();
    await it.until('acme', 'm2', ({ status }) => status === 'uncertain');
    expect(server.lines.filter((line) => line === 'Message-ID: <m1@example.com>')).toHaveLength(1);
  });

  test('close to its expiry is not sent again and again until then', async () => {
    const server = await cutting();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1', { expiresAt: it.clock.now + 29_000 });
    await it.dispatcher.start();
    expect((await it.until('acme', 'm1', isError)).error).toMatch(/No time was left/);
    expect(server.lines.filter((line) => line.startsWith('Message-ID'))).toHaveLength(1);
  });

  test('is told from one that was refused before by a mark on the disk', async () => {
    const server = await serve();
    let marked: unknown;
    server.onMail = () => {
      marked = it.raw.prepare('SELECT handed_over FROM messages').pluck().get();
      return undefined;
    };
    server.onData = () => {
      marked = [marked, it.raw.prepare('SELECT handed_over FROM messages').pluck().get()];
      return undefined;
    };
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    expect(marked).toEqual([0, 1]);
  });
});

test('the body of a message whose claim is lost never goes out', async () => {
  const server = await serve();
  await it.account('acme', at(server));
  await it.account('globex', at(server));
  server.onRcpt = async (address) => {
    if (address === 'lost@x.example') await it.store.tenants.delete(tenantScope('acme'), by(NOON));
    return undefined;
  };
  await it.enqueue('acme', 'm1', { envelope: { from: 'a@example.com', to: ['lost@x.example'] } });
  await it.dispatcher.start();
  while (server.seen.rcpt.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await it.enqueue('globex', 'm2');
  it.dispatcher.wake();
  await it.until('globex', 'm2', isSent);
  await it.dispatcher.stop(1000);
  expect(server.messages.map(({ messageId }) => messageId)).toEqual(['<m2@example.com>']);
});

describe('a start after a crash', () => {
  test('frees what was claimed and sends it', async () => {
    const server = await serve();
    const accountPk = await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    const options = { limit: 1, owner: 'gone', now: it.clock.now, leaseMs: 99 * MINUTE };
    await it.store.claims.claimDue({ accountPk, tenantId: 'acme' }, options);
    await it.dispatcher.start();
    await it.until('acme', 'm1', isSent);
    expect(it.log[0]).toMatch(/Recovered 1 unsent/);
  });
});

describe('stopping', () => {
  test('lets what is being sent finish and claims nothing more', async () => {
    const server = await serve();
    let finish = () => {};
    const begun = new Promise<void>((resolve) => {
      server.onData = () => {
        resolve();
        return new Promise((go) => {
          finish = () => go(undefined);
        });
      };
    });
    await it.account('acme', at(server, { maxConnections: 1 }));
    await it.enqueue('acme', 'm1');
    await it.enqueue('acme', 'm2');
    await it.dispatcher.start();
    await begun;
    let isStopped = false;
    const stopping = it.dispatcher.stop(15_000).then(() => {
      isStopped = true;
    });
    it.dispatcher.wake();
    await new Promise((resolve) => setImmediate(resolve));
    expect([isStopped, it.dispatcher.active]).toEqual([false, false]);
    finish();
    await stopping;
    expect((await it.message('acme', 'm1')).status).toBe('sent');
    expect((await it.message('acme', 'm2')).status).toBe('pending');
    expect(server.messages).toHaveLength(1);
  });

  test('cuts what does not end in time, which is then uncertain, on old connections too', async () => {
    const server = await serve();
    let begun = 0;
    server.onData = () => {
      begun++;
      return new Promise(() => {});
    };
    await it.account('acme', at(server));
    await it.enqueue('acme', 'old');
    await it.dispatcher.start();
    while (begun < 1) await new Promise((resolve) => setImmediate(resolve));
    await it.account('acme', at(server, { tlsVerify: false }));
    await it.enqueue('acme', 'new');
    it.dispatcher.wake();
    while (begun < 2) await new Promise((resolve) => setImmediate(resolve));
    await it.dispatcher.stop(20);
    for (const id of ['old', 'new']) {
      expect(await it.message('acme', id)).toMatchObject({ status: 'deferred', retryCount: 1 });
    }
  });
});

import { Session } from 'node:inspector/promises';
import type { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseAllowance } from '../../src/core/destination.js';
import { MailProxyError } from '../../src/core/errors.js';
import type { Log } from '../../src/core/log.js';
import { SmtpFailure } from '../../src/core/smtp-outcome.js';
import { createDestinationGuard } from '../../src/delivery/destination-guard.js';
import { createLocalSender } from '../../src/delivery/local-sender.js';
import type { Order, Sender, SenderEndpoint } from '../../src/delivery/sender.js';
import { createThreadSender } from '../../src/delivery/thread-sender.js';
import { useCleanup } from '../support/cleanup.js';
import { until } from '../support/processes.js';
import { dialogue, hangUp, startRawServer } from '../support/raw-server.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';

// The thread runs the built program (lib/): `npm test` builds it first.

const closing = useCleanup();
const log: string[] = [];
const note = (level: string) => (text: string) => void log.push(`${level}: ${text}`);
const testLog: Log = { debug: note('debug'), info: note('info'), warn: note('warn'), error: note('error') };
/** Every thread that was started, as Node tells. */
const threads: Worker[] = [];
const onWorker = (worker: Worker): void => void threads.push(worker);
beforeEach(() => {
  log.length = 0;
  threads.length = 0;
  process.on('worker', onWorker);
});
afterEach(() => void process.off('worker', onWorker));

const inThread = (): Sender =>
  closing(createThreadSender({ allowPrivate: '127.0.0.0/8', failPoint: undefined }, testLog), (sender) =>
    sender.close(),
  );
const serve = async (settings: Partial<SmtpServerSettings> = {}) =>
  closing(await startSmtpServer({ tls: 'none', ...settings }), (server) => server.close());
const serveRaw = async (steps: Parameters<typeof dialogue>[0]) =>
  closing(await startRawServer(dialogue(steps)), (server) => server.close());
const at = (
  server: { endpoint(): Omit<SenderEndpoint, 'isGuarded'> },
  changes: Partial<SenderEndpoint> = {},
): SenderEndpoint => ({ ...server.endpoint(), isGuarded: false, ...changes });

let lastPk = 0;
const order = (id: string, changes: Partial<Order> & { to?: string[] } = {}): Order => {
  const { to = ['b@example.org'], ...rest } = changes;
  return {
    envelope: { from: 'a@example.com', to },
    kind: 'raw',
    content: Buffer.from(`Message-ID: <${id}@example.com>\r\n\r\nhello\r\n`),
    place: [2, 0, ++lastPk],
    ...rest,
  };
};
const mark = async (): Promise<void> => {};
const noMark = (): Promise<void> => Promise.reject(new Error('The mark was asked for.'));
const failureOf = (sending: Promise<unknown>): Promise<unknown> =>
  sending.then(
    () => expect.unreachable('it was sent'),
    (error: unknown) => error,
  );
/** A server whose answers to messages wait until they are let go. */
async function holding() {
  const server = await serve();
  const held: Array<() => void> = [];
  server.onData = () => new Promise((resolve) => held.push(() => resolve(undefined)));
  const reached = (count: number) => until(() => held.length >= count, `${count} messages were handed over`);
  return { server, held, reached };
}
const isCancelled = { code: 'cancelled' };

describe('a thread that sends', () => {
  test('composes, sends and answers as it is done in this thread', async () => {
    const server = await serve();
    server.onRcpt = (address) =>
      address.startsWith('no') ? { code: 550, message: '5.1.1 nobody here' } : undefined;
    const composed = {
      from: { name: 'Ünï', address: 'a@example.com' },
      to: [{ name: '', address: 'b@example.org' }],
      cc: [],
      replyTo: [],
      subject: 'Grüße',
      messageId: '<m1@example.com>',
      date: 0,
      headers: [{ key: 'X-Mine', value: 'yes' }],
      text: 'Hello\nthere ✓',
      attachments: [],
    };
    const orders = (): Order[] => [
      order('raw', { to: ['no1@example.org', 'b@example.org', 'no2@example.org'] }),
      order('c', { kind: 'composed', content: Buffer.from(JSON.stringify(composed)) }),
      order('none', { to: ['no1@example.org'] }),
    ];
    const results = [];
    for (const sender of [inThread(), createLocalSender(createDestinationGuard(parseAllowance(undefined)))]) {
      const lane = sender.open(at(server), { maxConnections: 1 });
      const outcomes = [];
      for (const one of orders()) outcomes.push(await lane.send(one, mark));
      results.push(outcomes);
      await lane.drain();
    }
    const plain = JSON.stringify(results[1]).replaceAll(/queued as \w+/g, '');
    expect(JSON.stringify(results[0]).replaceAll(/queued as \w+/g, '')).toBe(plain);
    expect(results[0]?.[0]?.recipients.map(({ code }) => code)).toEqual([550, 250, 550]);
    const received = server.messages.map(({ raw }) => raw.toString());
    expect(received).toHaveLength(4);
    expect(received.slice(0, 2)).toEqual(received.slice(2));
    expect(received[1]).toContain('Message-ID: <m1@example.com>');
  });

  test('gives failures back as what they were', async () => {
    const server = await serve({ auth: { user: 'u', password: 'right' } });
    const sender = inThread();
    const refused = sender.open(at(server, { password: 'wrong' }), { maxConnections: 1 });
    const login = (await failureOf(refused.send(order('m'), noMark))) as SmtpFailure;
    expect(login).toBeInstanceOf(SmtpFailure);
    expect(login).toMatchObject({ step: 'auth', code: 535, enhanced: '5.7.8', isLocalRefusal: false });
    const lane = sender.open(at(server), { maxConnections: 1 });
    const { failure } = await lane.send(order('m', { to: ['a\r\nb@example.org'] }), noMark);
    expect(failure).toBeInstanceOf(SmtpFailure);
    expect(failure).toMatchObject({ step: 'mail', causeCode: 'ADDRESS_INVALID', isLocalRefusal: true });
  });

  test('rejects with what could not be composed, and goes on', async () => {
    const server = await serve();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    for (const content of ['{', 'null', '{"from":"x"}']) {
      const error = await failureOf(
        lane.send(order('m', { kind: 'composed', content: Buffer.from(content) }), noMark),
      );
      expect(error).toBeInstanceOf(Error);
      expect(error).not.toBeInstanceOf(MailProxyError);
    }
    expect((await lane.send(order('next'), mark)).failure).toBeNull();
    expect(threads).toHaveLength(1);
  });

  test('sends no byte of a message whose mark is refused, and gives back the very error', async () => {
    const server = await serveRaw({});
    const lane = inThread().open(at(server), { maxConnections: 1 });
    const refusal = Object.assign(new Error('no'), { mine: {} });
    expect(await failureOf(lane.send(order('refused'), () => Promise.reject(refusal)))).toBe(refusal);
    const thrown = { not: 'an error' };
    const throwing = (): never => {
      throw thrown;
    };
    expect(await failureOf(lane.send(order('refused'), throwing))).toBe(thrown);
    await lane.send(order('next'), mark);
    expect(server.lines.filter((line) => line.startsWith('Message-ID'))).toEqual([
      'Message-ID: <next@example.com>',
    ]);
  });

  test('asks for the mark once, after the 354, and hands nothing over before it has it', async () => {
    const server = await serveRaw({});
    const lane = inThread().open(at(server), { maxConnections: 1 });
    let asked = 0;
    let seen: string[] = [];
    await lane.send(order('m'), async () => {
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 20));
      seen = [...server.lines];
    });
    expect(asked).toBe(1);
    expect(seen.at(-1)).toBe('DATA');
  });

  test('ends a message whose connection dies while its mark is written, once that is known', async () => {
    const server = await serveRaw({ DATA: (client) => client.write('354 go on\r\n') });
    const lane = inThread().open(at(server), { maxConnections: 1 });
    let written: () => void = () => {};
    let isAsked: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    let isSettled = false;
    const sending = lane
      .send(order('m'), () => {
        isAsked();
        return new Promise((resolve) => {
          written = resolve;
        });
      })
      .finally(() => {
        isSettled = true;
      });
    await asked;
    await server.close();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isSettled).toBe(false);
    written();
    // Marked, yet no byte went out: it is no uncertain one.
    expect((await sending).failure).toMatchObject({ bodyStarted: false });
  });

  test('says that a connection was lost while the body was under way', async () => {
    const server = await serveRaw({ body: hangUp });
    const lane = inThread().open(at(server), { maxConnections: 1 });
    expect((await lane.send(order('m'), mark)).failure).toMatchObject({ bodyStarted: true, code: null });
  });

  test('serves what waits by priority, then first come', async () => {
    const { server, held, reached } = await holding();
    const sender = inThread();
    const lane = sender.open(at(server), { maxConnections: 1 });
    const sending = [lane.send(order('first', { place: [2, 0, 0] }), mark)];
    await reached(1);
    const places = { low: [3, 0, 1], b: [2, 5, 2], a: [2, 4, 3], now: [0, 9, 4] } as const;
    for (const [id, place] of Object.entries(places)) sending.push(lane.send(order(id, { place }), mark));
    // What went another way after them has arrived: so they are all in line.
    const elsewhere = sender.open(at(await serve()), { maxConnections: 1 });
    await elsewhere.send(order('fence'), mark);
    for (let n = 1; n <= 5; n++) {
      await reached(n);
      held[n - 1]?.();
    }
    await Promise.all(sending);
    expect(server.messages.map(({ messageId }) => messageId)).toEqual(
      ['first', 'now', 'a', 'b', 'low'].map((id) => `<${id}@example.com>`),
    );
  });

  test('moves large content instead of copying it, and leaves alone what shares its memory with others', async () => {
    const server = await serve();
    const lane = inThread().open(at(server), { maxConnections: 2 });
    const text = `Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(75_000)}`;
    const large = Buffer.from(text);
    const slab = Buffer.alloc(1024 * 1024, 0x61);
    const inSlab = slab.subarray(100_000, 400_000);
    inSlab.write('Subject: slab\r\n\r\n');
    const moved = lane.send(order('large', { content: large }), mark);
    await lane.send(order('slab', { content: inSlab }), mark);
    await moved;
    expect(large).toHaveLength(0);
    expect(slab).toHaveLength(1024 * 1024);
    expect(inSlab).toHaveLength(300_000);
    const received = server.messages.map(({ raw }) => raw.length).sort((a, b) => a - b);
    expect(received).toEqual([300_002, text.length]);
    expect(server.messages.find(({ raw }) => raw.length === text.length)?.raw.toString()).toBe(text);
  });

  test('gives up what waits, what is still being composed too, and lets what is on a connection finish', async () => {
    const { server, held, reached } = await holding();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    const first = lane.send(order('first'), mark);
    await reached(1);
    const waiting = [1, 2, 3].map((n) => failureOf(lane.send(order(`w${n}`), noMark)));
    lane.abandonWaiting();
    expect(await Promise.all(waiting)).toMatchObject([isCancelled, isCancelled, isCancelled]);
    const next = lane.send(order('next'), mark);
    held[0]?.();
    expect((await first).failure).toBeNull();
    await reached(2);
    held[1]?.();
    expect((await next).failure).toBeNull();
  });

  test('takes nothing more once it drains, and says when the last connection is gone', async () => {
    const { server, held, reached } = await holding();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    const first = lane.send(order('first'), mark);
    await reached(1);
    const waiting = failureOf(lane.send(order('waits'), noMark));
    let isDrained = false;
    const drained = lane.drain().then(() => {
      isDrained = true;
    });
    expect(await waiting).toMatchObject(isCancelled);
    expect(await failureOf(lane.send(order('late'), noMark))).toMatchObject(isCancelled);
    expect(isDrained).toBe(false);
    held[0]?.();
    await first;
    await drained;
    await lane.drain();
    await lane.destroy();
    expect(await failureOf(lane.send(order('later'), noMark))).toMatchObject(isCancelled);
  });

  test('cuts everything when it is destroyed, also what had begun to drain', async () => {
    const { server, reached } = await holding();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    const first = lane.send(order('first'), mark);
    await reached(1);
    const drained = lane.drain();
    const after = failureOf(lane.send(order('after'), noMark));
    await lane.destroy();
    await drained;
    expect((await first).failure).toMatchObject({ bodyStarted: true });
    expect(await after).toMatchObject(isCancelled);
  });

  test('logs in with whatever a password consists of, and shows none to who looks at it', async () => {
    const password = 'p"ä\\s\u2028\u0001 €🔑\'$(x)`%00';
    const server = await serve({ auth: { user: 'ü@x', password } });
    const lane = inThread().open(at(server, { user: 'ü@x' }), { maxConnections: 1 });
    process.env.A_SECRET_OF_THIS_PROCESS = password;
    try {
      expect((await lane.send(order('m'), mark)).failure).toBeNull();
    } finally {
      delete process.env.A_SECRET_OF_THIS_PROCESS;
    }
    const shown = await evaluateInThread('JSON.stringify([process.env, process.argv, process.execArgv])');
    const [environment, argv] = JSON.parse(shown) as [object, string[], string[]];
    expect(environment).toEqual({});
    expect(argv).toHaveLength(2);
    expect(shown).not.toContain('€🔑');
  });
});

describe('a thread that dies', () => {
  test('leaves what was handed over uncertain for every recipient, cancels the rest, and another goes on', async () => {
    const { server, reached } = await holding();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    const other = inThread();
    const marked = lane.send(order('marked', { to: ['a@example.org', 'b@example.org'] }), mark);
    await reached(1);
    const waiting = failureOf(lane.send(order('waits'), noMark));
    await threads[0]?.terminate();
    expect(await marked).toEqual({
      recipients: ['a@example.org', 'b@example.org'].map((address) => ({
        address,
        accepted: true,
        code: null,
        enhanced: null,
        reply: '',
      })),
      final: null,
      failure: expect.any(SmtpFailure),
    });
    expect((await marked).failure).toMatchObject({ bodyStarted: true });
    expect(await waiting).toMatchObject(isCancelled);
    server.onData = () => undefined;
    expect((await lane.send(order('next'), mark)).failure).toBeNull();
    expect(threads).toHaveLength(2);
    expect(log).toEqual([expect.stringMatching(/^warn: .*another takes its place/)]);
    await other.close();
  });

  test('while a mark is written cancels that message, and its mark is not taken for leave by the next thread', async () => {
    const server = await serveRaw({});
    const lane = inThread().open(at(server), { maxConnections: 1 });
    let written: () => void = () => {};
    let isAsked: () => void = () => {};
    const asked = new Promise<void>((resolve) => {
      isAsked = resolve;
    });
    const sending = failureOf(
      lane.send(order('cut'), () => {
        isAsked();
        return new Promise((resolve) => {
          written = resolve;
        });
      }),
    );
    await asked;
    await threads[0]?.terminate();
    written();
    expect(await sending).toMatchObject(isCancelled);
    expect((await lane.send(order('next'), mark)).failure).toBeNull();
    expect(server.lines.filter((line) => line.startsWith('Message-ID'))).toEqual([
      'Message-ID: <next@example.com>',
    ]);
  });

  test('ends what drains, and what is sent or drained while there is none is not left without an answer', async () => {
    const { server, reached } = await holding();
    const sender = inThread();
    const lane = sender.open(at(server), { maxConnections: 1 });
    const draining = sender.open(at(server), { maxConnections: 1 });
    const begun = draining.send(order('begun'), mark);
    await reached(1);
    const drained = draining.drain();
    await threads[0]?.terminate();
    await drained;
    expect((await begun).failure).toMatchObject({ bodyStarted: true });
    // The next one is not started before the event loop turns.
    const given = failureOf(lane.send(order('given up'), noMark));
    lane.abandonWaiting();
    expect(await given).toMatchObject(isCancelled);
    const waiting = failureOf(lane.send(order('waits'), noMark));
    await lane.drain();
    expect(await waiting).toMatchObject(isCancelled);
  });

  test('again and again is started again only after a pause; what is to be sent waits for it', async () => {
    const server = await serve();
    const lane = inThread().open(at(server), { maxConnections: 1 });
    await lane.send(order('m1'), mark);
    await threads[0]?.terminate();
    await until(() => threads.length === 2, 'the second thread is there');
    await threads[1]?.terminate();
    const diedAt = performance.now();
    expect((await lane.send(order('m2'), mark)).failure).toBeNull();
    expect(performance.now() - diedAt).toBeGreaterThan(990);
    expect(threads).toHaveLength(3);
  });
});

describe('closing', () => {
  test('ends the thread, and nothing is left without an answer', async () => {
    const { server, reached } = await holding();
    const sender = inThread();
    const lane = sender.open(at(server), { maxConnections: 1 });
    const marked = lane.send(order('marked'), mark);
    await reached(1);
    const exited = new Promise((resolve) => threads[0]?.once('exit', resolve));
    const waiting = failureOf(lane.send(order('waits'), noMark));
    await sender.close();
    await exited;
    expect((await marked).failure).toMatchObject({ bodyStarted: true });
    expect(await waiting).toMatchObject(isCancelled);
    expect(await failureOf(lane.send(order('late'), noMark))).toMatchObject(isCancelled);
    await lane.drain();
    const after = sender.open(at(server), { maxConnections: 1 });
    expect(await failureOf(after.send(order('later'), noMark))).toMatchObject(isCancelled);
    await sender.close();
    expect(threads).toHaveLength(1);
    expect(log).toEqual([]);
  });

  test('what never had a connection starts no thread', async () => {
    await inThread().close();
    expect(threads).toEqual([]);
  });
});

/** Evaluates an expression in the one thread that runs, by way of Node's inspector. */
async function evaluateInThread(expression: string): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    return await new Promise((resolve, reject) => {
      session.on('NodeWorker.attachedToWorker', ({ params: { sessionId } }) => {
        const message = { id: 1, method: 'Runtime.evaluate', params: { expression } };
        session
          .post('NodeWorker.sendMessageToWorker', { sessionId, message: JSON.stringify(message) })
          .catch(reject);
      });
      session.on('NodeWorker.receivedMessageFromWorker', ({ params: { message } }) => {
        const { id, result } = JSON.parse(message) as { id?: number; result: { result: { value: string } } };
        if (id === 1) resolve(result.result.value);
      });
      session.post('NodeWorker.enable', { waitForDebuggerOnStart: false }).catch(reject);
    });
  } finally {
    session.disconnect();
  }
}

import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { SendOutcome } from '../../src/core/smtp-outcome.js';
import { SmtpFailure } from '../../src/core/smtp-outcome.js';
import { explainFailure } from '../../src/delivery/explain-failure.js';
import type { SmtpEndpoint } from '../../src/delivery/smtp-options.js';
import { type OpenOptions, SmtpSession } from '../../src/delivery/smtp-session.js';
import { testCertificates } from '../support/certificates.js';
import { dialogue, hangUp, type RawReply, type RawStep, startRawServer } from '../support/raw-server.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';

const cleanups: Array<() => unknown> = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const envelope = { from: 'sender@example.com', to: ['a@example.org'] };
const message = Buffer.from('Subject: hello\r\nMessage-ID: <1@example.com>\r\n\r\nbody\r\n');
const auth = { user: 'robot', password: 'correct horse' };

async function serve(settings: SmtpServerSettings) {
  const server = await startSmtpServer(settings);
  cleanups.push(() => server.close());
  return server;
}

async function serveRaw(script: Parameters<typeof startRawServer>[0]) {
  const server = await startRawServer(script);
  cleanups.push(() => server.close());
  return server;
}

async function open(endpoint: SmtpEndpoint, options?: OpenOptions) {
  const session = await SmtpSession.open(endpoint, options);
  cleanups.push(() => session.close());
  return session;
}

/** Opens a session that must fail, and returns why. */
async function refused(endpoint: SmtpEndpoint, options?: OpenOptions): Promise<SmtpFailure> {
  const failure = await open(endpoint, options).then(
    () => null,
    (error: unknown) => error,
  );
  if (!(failure instanceof SmtpFailure)) throw new Error('The session was opened.', { cause: failure });
  return failure;
}

/** Counts how often the mark was asked for. */
function marker() {
  const mark = Object.assign(
    async () => {
      mark.calls += 1;
    },
    { calls: 0 },
  );
  return mark;
}

/** Resolves once the server has greeted another client: what was said before on other connections has arrived by then. */
async function greeted({ port }: { port: number }): Promise<void> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'data');
  socket.destroy();
}

const noMark = () => Promise.reject(new Error('The mark was asked for.'));
const codes = (outcome: SendOutcome) =>
  outcome.recipients.map(({ address, accepted, code }) => [address, accepted, code]);

describe('sending in each TLS mode', () => {
  test.each(['none', 'starttls', 'ssl'] as const)('%s delivers the message as that user', async (tls) => {
    const server = await serve({ tls, auth });
    const session = await open(server.endpoint());
    const mark = marker();
    const outcome = await session.send(
      { ...envelope, to: ['a@example.org', 'b@example.org'] },
      message,
      mark,
    );
    expect(codes(outcome)).toEqual([
      ['a@example.org', true, 250],
      ['b@example.org', true, 250],
    ]);
    expect(outcome).toMatchObject({ failure: null, final: { code: 250 } });
    expect(mark.calls).toBe(1);
    const [received] = await server.waitFor(1);
    expect(received).toMatchObject({ from: 'sender@example.com', secure: tls !== 'none', user: 'robot' });
    expect(received?.raw.toString()).toBe(message.toString());
    await session.quit();
    expect(session.isUsable).toBe(false);
  });

  test('several messages go over one connection, the null sender among them', async () => {
    const server = await serve({ tls: 'none' });
    const session = await open(server.endpoint());
    await session.send(envelope, message, marker());
    await session.send({ ...envelope, from: '' }, message, marker());
    expect(session.messages).toBe(2);
    expect(server.messages.map(({ from }) => from)).toEqual(['sender@example.com', '']);
    expect(server.seen.connections).toBe(1);
  });

  test('plain `none` never upgrades when STARTTLS is offered', async () => {
    const server = await serve({ tls: 'none', offersStartTls: true, auth });
    const session = await open(server.endpoint());
    await session.send(envelope, message, marker());
    expect(server.messages[0]?.secure).toBe(false);
  });
});

describe('"automatic" TLS: there is no way back to plain text', () => {
  test('STARTTLS stripped: no AUTH and no MAIL ever reach a server without it', async () => {
    const server = await serveRaw(dialogue({ EHLO: '250-raw\r\n250 AUTH PLAIN LOGIN' }));
    const failure = await refused(server.endpoint({ tls: 'starttls', ...auth }));
    expect(failure).toMatchObject({ step: 'starttls', code: 502, bodyStarted: false });
    expect(explainFailure(failure, server.endpoint())).toContain(
      'offers no STARTTLS; nothing was sent. Use --tls ssl',
    );
    expect(server.lines.map((line) => line.split(' ')[0])).toEqual(['EHLO', 'STARTTLS']);
  });

  test('a server that does not know EHLO is not talked to by HELO in plain text', async () => {
    const server = await serveRaw(dialogue({ EHLO: '502 what?' }));
    expect(await refused(server.endpoint({ tls: 'starttls', ...auth }))).toMatchObject({
      step: 'ehlo',
      code: 502,
    });
    expect(server.lines).toHaveLength(1);
  });

  test('a response injected after the 220 does not count as an answer', async () => {
    const { valid, caPem } = await testCertificates();
    const server = await serveRaw(
      dialogue({
        EHLO: '250-raw\r\n250 STARTTLS',
        STARTTLS: async (client) => {
          client.write('220 go\r\n250-injected\r\n250-AUTH PLAIN\r\n250 SMTPUTF8\r\n235 welcome\r\n');
          await client.upgrade(valid);
        },
      }),
    );
    const endpoint = server.endpoint({ tls: 'starttls', tlsCa: caPem, ...auth });
    // The injected lines offer AUTH, the protected ones do not: only the latter may be believed.
    expect(await refused(endpoint)).toMatchObject({ step: 'auth', causeCode: 'AUTH_NOT_OFFERED' });
    expect(server.lines.filter((line) => line.startsWith('EHLO'))).toHaveLength(2);
    expect(server.lines.join('\n')).not.toMatch(/AUTH|MAIL/);
  });

  test('a server that agrees to STARTTLS and then goes on in plain text gets nothing more', async () => {
    const server = await serveRaw(
      dialogue({ EHLO: '250-raw\r\n250-STARTTLS\r\n250 AUTH PLAIN', STARTTLS: '220 go' }),
    );
    const endpoint = server.endpoint({ tls: 'starttls', ...auth });
    const failure = await refused(endpoint);
    expect(explainFailure(failure, endpoint)).toContain(
      'agreed to STARTTLS but did not answer in TLS; nothing was sent',
    );
    expect(server.lines.join('\n')).not.toMatch(/^(AUTH|MAIL)/m);
  });

  test('replies injected before they are asked for do not count either', async () => {
    const server = await serveRaw(
      dialogue({
        greeting: '220 raw\r\n250-raw\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n220 go\r\n250 AUTH PLAIN',
      }),
    );
    const failure = await refused(server.endpoint({ tls: 'starttls', ...auth }));
    expect(['tls', 'starttls']).toContain(failure.step);
    expect(server.lines.join('\n')).not.toMatch(/^(AUTH|MAIL)/m);
  });

  test.each([
    ['unknownCa', 'is signed by a CA this machine does not trust; give its certificate with --tls-ca FILE'],
    ['selfSigned', 'is self-signed and not trusted by this machine'],
    ['expired', 'has expired'],
    ['wrongHost', 'is not for 127.0.0.1; use a host name that the certificate names'],
    ['nameOnly', 'is not for 127.0.0.1'],
  ] as const)('a certificate that is %s is refused, with its sentence', async (certificate, sentence) => {
    for (const tls of ['starttls', 'ssl'] as const) {
      const server = await serve({ tls, auth, certificate });
      const failure = await refused(server.endpoint());
      expect(failure.step).toBe('tls');
      expect(explainFailure(failure, server.endpoint())).toContain(sentence);
      expect(server.seen).toMatchObject({ auth: [], mail: [] });
    }
  });

  test('without a CA of its own the account trusts only what the machine trusts', async () => {
    const server = await serve({ tls: 'ssl', auth });
    expect(await refused(server.endpoint({ tlsCa: null }))).toMatchObject({ step: 'tls' });
    const session = await open(server.endpoint({ tlsCa: null, tlsVerify: false }));
    expect(session.isUsable).toBe(true);
  });

  test.each(['starttls', 'ssl'] as const)(
    'no minimum version: a server of TLS 1.1 only is refused by %s',
    async (tls) => {
      const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
      const server = await serve({ tls, auth, options: old });
      const failure = await refused(server.endpoint({ tlsVerify: false }));
      expect(failure.step).toBe('tls');
      expect(explainFailure(failure, server.endpoint())).toContain('does not speak TLS 1.2 or newer');
      expect(server.seen.auth).toEqual([]);
    },
  );

  test('a TLS port spoken to in plain text, and a plain port spoken to in TLS, are told as what they are', async () => {
    const secure = await serve({ tls: 'ssl' });
    const timeouts = { greeting: 200 };
    const plain = await refused(secure.endpoint({ tls: 'none' }), { timeouts });
    expect(plain).toMatchObject({ step: 'greeting', causeCode: 'ETIMEDOUT' });
    expect(explainFailure(plain, secure.endpoint())).toContain('use --tls ssl');
    const open25 = await serve({ tls: 'none' });
    const wrong = await refused(open25.endpoint({ tls: 'ssl' }));
    expect(explainFailure(wrong, open25.endpoint())).toContain('does not speak TLS from the first byte');
  });
});

describe('opening a session', () => {
  test('says that nothing listens', async () => {
    const server = await startRawServer(dialogue());
    await server.close();
    expect(await refused(server.endpoint())).toMatchObject({ step: 'connect', causeCode: 'ECONNREFUSED' });
    expect(await refused(server.endpoint({ tls: 'ssl' }))).toMatchObject({
      step: 'connect',
      causeCode: 'ECONNREFUSED',
    });
  });

  test.each<[string, RawReply, object]>([
    ['a refusing greeting', '554 no', { step: 'greeting', code: 554 }],
    ['a busy greeting', '421 later', { step: 'greeting', code: 421 }],
    ['another protocol', 'HTTP/1.1 400 Bad Request', { step: 'greeting', code: null }],
    ['no greeting', hangUp, { step: 'greeting', code: null }],
  ])('takes %s for a failure of the greeting', async (_name, greeting, expected) => {
    const server = await serveRaw(dialogue({ greeting }));
    expect(await refused(server.endpoint())).toMatchObject(expected);
  });

  test.each<[string, RawReply, object]>([
    ['421', '421 later', { step: 'ehlo', code: 421 }],
    ['a hang-up', hangUp, { step: 'ehlo', code: null }],
  ])('takes %s to EHLO for a failure of EHLO', async (_name, EHLO, expected) => {
    const server = await serveRaw(dialogue({ EHLO }));
    expect(await refused(server.endpoint())).toMatchObject(expected);
  });

  test('a slow drip that always says something does not hold a session open for ever', async () => {
    const server = await serveRaw(async (client) => {
      client.write('220 raw\r\n');
      while ((await client.line()) !== null) {
        for (;;) {
          client.write('250-still here\r\n');
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
    });
    expect(await refused(server.endpoint(), { timeouts: { open: 200 } })).toMatchObject({
      step: 'ehlo',
      causeCode: 'ETIMEDOUT',
    });
  });

  test('a name that cannot be resolved is a failure of DNS', async () => {
    // Labels of more than 63 characters are refused before any question leaves the machine.
    const endpoint = { ...(await serveRaw(dialogue())).endpoint(), host: `${'x'.repeat(64)}.invalid` };
    const failure = await refused(endpoint);
    expect(failure.step).toBe('dns');
    expect(explainFailure(failure, endpoint)).toContain('cannot be resolved');
  });

  const agreeAndFallSilent: RawReply = async (client) => {
    client.write('220 go\r\n');
    await new Promise<void>(() => {});
  };
  test.each([
    ['ssl', async () => {}],
    ['starttls', dialogue({ EHLO: '250 STARTTLS', STARTTLS: agreeAndFallSilent })],
  ] as const)('a TLS handshake that never ends (%s) is given up', async (tls, script) => {
    const server = await serveRaw(script);
    const failure = await refused(server.endpoint({ tls }), { timeouts: { connect: 150, greeting: 150 } });
    expect(failure).toMatchObject({ step: 'tls', causeCode: 'ETIMEDOUT' });
  });

  test('a reply without end is cut off', async () => {
    const server = await serveRaw(dialogue({ greeting: `220-${'x'.repeat(200_000)}` }));
    expect(await refused(server.endpoint())).toMatchObject({ step: 'greeting', causeCode: 'EPROTOCOL' });
  });

  test('stops when it is told to', async () => {
    const server = await serveRaw(async (client) => void (await client.line()));
    const stop = new AbortController();
    const opening = refused(server.endpoint(), { signal: stop.signal });
    stop.abort();
    expect(await opening).toMatchObject({ causeCode: 'ABORT_ERR' });
  });

  test('a refused login is a failure of auth, and no password is told even when the server echoes it', async () => {
    const plain = Buffer.from(`\0${auth.user}\0${auth.password}`).toString('base64');
    const server = await serveRaw(
      dialogue({ EHLO: '250-raw\r\n250 AUTH PLAIN', AUTH: `535 ${plain} and ${auth.password} are wrong` }),
    );
    const failure = await refused(server.endpoint(auth));
    expect(failure).toMatchObject({
      step: 'auth',
      code: 535,
      reply: '535 [redacted] and [redacted] are wrong',
    });
    expect(explainFailure(failure, server.endpoint())).not.toContain(auth.password);
  });

  test('an account with a user never sends to a server that offers no login', async () => {
    const server = await serve({ tls: 'starttls' });
    const failure = await refused(server.endpoint(auth));
    expect(failure).toMatchObject({ step: 'auth', causeCode: 'AUTH_NOT_OFFERED' });
    expect(server.seen.mail).toEqual([]);
    expect(await refused(server.endpoint({ user: 'robot' }))).toMatchObject({
      causeCode: 'CREDENTIALS_INCOMPLETE',
    });
  });
});

describe('the mark before the body', () => {
  test.each([true, false])('refused MAIL and RCPT never call for it (pipelining: %s)', async (pipelining) => {
    const server = await serve({ tls: 'none', pipelining });
    const session = await open(server.endpoint());
    server.onMail = () => ({ code: 550, message: '5.1.8 no such sender' });
    const noSender = await session.send(envelope, message, noMark);
    expect(noSender.failure).toMatchObject({ step: 'mail', code: 550, bodyStarted: false });
    expect(codes(noSender)).toEqual([['a@example.org', false, 550]]);

    server.onMail = () => undefined;
    server.onRcpt = () => ({ code: 550, message: '5.1.1 no such user' });
    const noRecipient = await session.send(envelope, message, noMark);
    expect(noRecipient).toMatchObject({ failure: null, final: null });
    expect(noRecipient.recipients[0]).toMatchObject({ accepted: false, code: 550, enhanced: '5.1.1' });

    // One refusal leaves nothing behind that hinders the next message on the same connection.
    server.onRcpt = () => undefined;
    const mark = marker();
    expect((await session.send(envelope, message, mark)).failure).toBeNull();
    expect(mark.calls).toBe(1);
    expect(server.seen.connections).toBe(1);
  });

  test.each([true, false])('refused DATA never calls for it (pipelining: %s)', async (pipelining) => {
    const EHLO = pipelining ? '250-raw\r\n250 PIPELINING' : '250 raw';
    const server = await serveRaw(dialogue({ EHLO, DATA: '451 4.3.0 not now' }));
    const session = await open(server.endpoint());
    const outcome = await session.send(envelope, message, noMark);
    expect(outcome.failure).toMatchObject({ step: 'data', code: 451, bodyStarted: false });
    expect(codes(outcome)).toEqual([['a@example.org', true, 451]]);
    expect(session.isUsable).toBe(true);
  });

  test.each<[RawStep]>([['MAIL'], ['RCPT'], ['DATA']])(
    '421 or a hang-up at %s never calls for it',
    async (step) => {
      for (const EHLO of ['250 raw', '250-raw\r\n250 PIPELINING']) {
        for (const reply of ['421 4.3.2 closing', hangUp]) {
          const server = await serveRaw(dialogue({ EHLO, [step]: reply }));
          const session = await open(server.endpoint());
          const { failure, recipients } = await session.send(envelope, message, noMark);
          const isSaid = reply !== hangUp;
          expect(failure ?? recipients[0]).toMatchObject({ code: isSaid ? 421 : null });
          expect(failure?.bodyStarted ?? false).toBe(false);
          expect(session.isUsable).toBe(false);
        }
      }
    },
  );

  test('no byte of the body leaves before it is made, and the 354 has come before it', async () => {
    const server = await serveRaw(dialogue());
    const session = await open(server.endpoint());
    let linesAtMark: string[] = [];
    await session.send(envelope, message, async () => {
      await greeted(server);
      linesAtMark = [...server.lines];
    });
    expect(linesAtMark.at(-1)).toBe('DATA');
    expect(server.lines).toContain('Subject: hello');
  });

  test('when it cannot be made the server never has a complete message', async () => {
    const server = await serve({ tls: 'none' });
    const session = await open(server.endpoint());
    const trouble = new Error('disk full');
    await expect(session.send(envelope, message, () => Promise.reject(trouble))).rejects.toBe(trouble);
    expect(session.isUsable).toBe(false);
    await server.dropClients();
    expect(server.messages).toEqual([]);
  });

  test('a connection lost while it is being made hands nothing over, and waits for it to settle', async () => {
    const server = await serveRaw(
      dialogue({
        DATA: async (client) => {
          client.write('354 go on\r\n');
          client.close();
        },
      }),
    );
    const session = await open(server.endpoint());
    let isSettled = false;
    const closed = new Promise<void>((resolve) => {
      session.onClose = resolve;
    });
    const outcome = await session.send(envelope, message, async () => {
      await closed;
      await Promise.resolve();
      isSettled = true;
    });
    expect(isSettled).toBe(true);
    expect(outcome.failure).toMatchObject({ step: 'data', code: null, bodyStarted: false });
  });
});

describe('the answer to the body', () => {
  test('partly refused recipients each keep their own answer', async () => {
    for (const pipelining of [true, false]) {
      const server = await serve({ tls: 'none', pipelining });
      server.onRcpt = (address) => {
        if (address.startsWith('gone')) return { code: 550, message: '5.1.1 no such user' };
        return address.startsWith('full') ? { code: 452, message: '4.2.2 mailbox full' } : undefined;
      };
      const session = await open(server.endpoint());
      const to = ['gone@example.org', 'ok@example.org', 'full@example.org'];
      const outcome = await session.send({ ...envelope, to }, message, marker());
      expect(codes(outcome)).toEqual([
        ['gone@example.org', false, 550],
        ['ok@example.org', true, 250],
        ['full@example.org', false, 452],
      ]);
      expect(server.messages[0]?.to).toEqual(['ok@example.org']);
    }
  });

  test.each([
    [451, '4.3.0'],
    [554, '5.6.0'],
  ])('a final %s is definite and is told of each accepted recipient', async (code, enhanced) => {
    const server = await serve({ tls: 'none' });
    server.onRcpt = (address) => (address.startsWith('gone') ? { code: 550, message: 'gone' } : undefined);
    server.onData = () => ({ code, message: `${enhanced} no` });
    const session = await open(server.endpoint());
    const outcome = await session.send(
      { ...envelope, to: ['a@example.org', 'gone@example.org'] },
      message,
      marker(),
    );
    expect(outcome.failure).toMatchObject({ step: 'final', code, enhanced, bodyStarted: true });
    expect(outcome.final?.code).toBe(code);
    expect(codes(outcome)).toEqual([
      ['a@example.org', true, code],
      ['gone@example.org', false, 550],
    ]);
    expect(session.isUsable).toBe(true);
  });

  test('a connection lost without a final reply is told as begun', async () => {
    const server = await serveRaw(dialogue({ body: hangUp }));
    const session = await open(server.endpoint());
    const { failure, final } = await session.send(envelope, message, marker());
    expect(failure).toMatchObject({ step: 'final', code: null, bodyStarted: true });
    expect(final).toBeNull();
  });

  test('a server that falls silent after the body is given up, as begun', async () => {
    const server = await serveRaw(dialogue({ body: () => {} }));
    const session = await open(server.endpoint(), { timeouts: { send: 150 } });
    const { failure } = await session.send(envelope, message, marker());
    expect(failure).toMatchObject({ step: 'final', causeCode: 'ETIMEDOUT', bodyStarted: true });
    expect(session.isUsable).toBe(false);
  });

  test.each(['250-taken\r\n550 or not', 'fine', '354 go on'])(
    'the nonsense %j is no success',
    async (body) => {
      const server = await serveRaw(dialogue({ body }));
      const session = await open(server.endpoint());
      const { failure } = await session.send(envelope, message, marker());
      expect(failure).toMatchObject({ step: 'final', bodyStarted: true });
      expect(failure?.code).not.toBe(250);
    },
  );

  test('a yes that comes before the message is not taken for its answer', async () => {
    let sayTaken = () => {};
    const DATA: RawReply = (client) => {
      sayTaken = () => client.write('250 taken\r\n');
      client.write('354 go on\r\n');
    };
    const server = await serveRaw(dialogue({ DATA }));
    const session = await open(server.endpoint());
    const slowMark = async () => {
      sayTaken();
      await greeted(server);
    };
    const { failure } = await session.send(envelope, message, slowMark);
    expect(failure).toMatchObject({ step: 'data', bodyStarted: false });
    expect(session.isUsable).toBe(false);
    expect(server.lines).not.toContain('Subject: hello');
  });
});

describe('what reaches the wire', () => {
  test.each([
    ['CR/LF in a recipient', { from: 's@example.com', to: ['a@example.org>\r\nRCPT TO:<b@example.org'] }],
    ['a bare LF in the sender', { from: 's@example.com\nRSET', to: ['a@example.org'] }],
    ['ESMTP parameters', { from: 's@example.com> SIZE=1 <', to: ['a@example.org'] }],
    ['white space', { from: 's@example.com', to: ['a@example.org NOTIFY=NEVER'] }],
    ['NUL', { from: 's@example.com', to: ['a\u0000@example.org'] }],
    ['an empty recipient', { from: 's@example.com', to: ['a@example.org', ''] }],
    ['no recipient', { from: 's@example.com', to: [] }],
    ['an endless address', { from: 's@example.com', to: [`${'a'.repeat(400)}@example.org`] }],
  ])('%s in an envelope is refused before any of it is sent', async (_name, bad) => {
    const server = await serveRaw(dialogue());
    const session = await open(server.endpoint());
    const outcome = await session.send(bad, message, noMark);
    expect(outcome.failure).toMatchObject({ step: 'mail', causeCode: 'ADDRESS_INVALID' });
    expect(session.isUsable).toBe(true);
    await session.quit();
    expect(server.lines.filter((line) => !line.startsWith('EHLO'))).toEqual(['QUIT']);
  });

  test('non-ASCII addresses go only to a server that offers SMTPUTF8', async () => {
    const to = ['jürgen@example.org'];
    const old = await serveRaw(dialogue());
    const refusal = await (await open(old.endpoint())).send({ ...envelope, to }, message, noMark);
    expect(refusal.failure).toMatchObject({ causeCode: 'SMTPUTF8_REQUIRED' });
    const server = await serve({ tls: 'none' });
    await (await open(server.endpoint())).send({ ...envelope, to }, message, marker());
    expect(server.messages[0]?.to).toEqual(to);
  });

  test('a message that is too large for the server is not offered', async () => {
    const server = await serve({ tls: 'none', size: 20 });
    const session = await open(server.endpoint());
    const outcome = await session.send(envelope, message, noMark);
    expect(outcome.failure).toMatchObject({ step: 'mail', causeCode: 'MESSAGE_TOO_LARGE' });
    expect(server.seen.mail).toEqual([]);
  });

  test.each([
    ['\r\n.\r\n', '\r\n.\r\n'],
    ['\n.\n', '\r\n.\r\n'],
    ['\n.\r\n', '\r\n.\r\n'],
    ['\r\n.\n', '\r\n.\r\n'],
    ['\r.\r', '\r\n.\r\n'],
    ['\r\n.\r', '\r\n.\r\n'],
  ])('bare CR or LF around the final dot (%j) smuggles no second message', async (dot, expected) => {
    // The dot stands at the start of the text and across the boundary between two chunks.
    for (const filler of [
      '',
      'x'.repeat(64 * 1024 - 12 - dot.length),
      'x'.repeat(64 * 1024 - 11 - dot.length),
    ]) {
      const smuggled =
        'MAIL FROM:<evil@example.com>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nevil\r\n.\r\n';
      const server = await serve({ tls: 'none' });
      const session = await open(server.endpoint());
      const raw = `Subject: s\r\n${filler}${dot}${smuggled}`;
      await session.send(envelope, Buffer.from(raw), marker());
      expect(server.messages).toHaveLength(1);
      expect(server.seen.mail).toEqual(['sender@example.com']);
      expect(server.messages[0]?.raw.toString()).toContain(`${filler.slice(-5)}${expected}MAIL FROM:<evil@`);
    }
  });

  test('every byte on the wire is in lines that end in CRLF, and a dot at their start is doubled', async () => {
    const server = await serveRaw(dialogue());
    const session = await open(server.endpoint());
    await session.send(envelope, Buffer.from('one\n.two\r.three\r\n..four'), marker());
    expect(server.lines.slice(-5)).toEqual(['one', '..two', '..three', '...four', '.']);
  });
});

describe('the end of a session', () => {
  test('an idle session that the server closes is known to be gone', async () => {
    const server = await serve({ tls: 'starttls' });
    const session = await open(server.endpoint());
    const closed = new Promise<void>((resolve) => {
      session.onClose = resolve;
    });
    await server.dropClients();
    await closed;
    expect(session.isUsable).toBe(false);
    const outcome = await session.send(envelope, message, noMark);
    expect(outcome.failure).toMatchObject({ step: 'mail', code: null, bodyStarted: false });
  });

  test('words out of turn on an idle session end it, so that they are never taken for an answer', async () => {
    let speak: (text: string) => void = () => {};
    const server = await serveRaw((client) => {
      speak = client.write;
      return dialogue()(client);
    });
    const session = await open(server.endpoint());
    const closed = new Promise<void>((resolve) => {
      session.onClose = resolve;
    });
    speak('250 taken\r\n');
    await closed;
    expect(session.isUsable).toBe(false);
  });

  test('a refused RSET is not held against the next message', async () => {
    const server = await serveRaw(dialogue({ RCPT: '451 later', RSET: '550 never' }));
    const session = await open(server.endpoint());
    await session.send(envelope, message, noMark);
    const { failure, recipients } = await session.send(envelope, message, noMark);
    expect(failure).toMatchObject({ step: 'mail', code: null });
    expect(recipients[0]?.code).toBeNull();
    expect(session.isUsable).toBe(false);
  });

  test('QUIT does not wait for ever', async () => {
    const server = await serveRaw(dialogue({ QUIT: () => {} }));
    const session = await open(server.endpoint(), { timeouts: { quit: 50 } });
    await session.quit();
    expect(session.isUsable).toBe(false);
  });
});

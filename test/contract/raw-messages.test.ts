import { beforeEach, describe, expect, test } from 'vitest';
import { MAX_MESSAGE_BYTES } from '../../src/core/limits.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { openTestAppOver, type TestApp } from '../support/http.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
let it: TestDispatch;
let server: SmtpTestServer;
let app: TestApp;
beforeEach(async () => {
  it = closing(await openTestDispatch(), (opened) => opened.close());
  server = closing(await startSmtpServer({ tls: 'none' }), (started) => started.close());
  await it.account('acme', { host: '127.0.0.1', port: server.port, tls: 'none' });
  app = await openTestAppOver(it);
});

const HEAD =
  'From: Ada <ada@b.com>\r\nTo: x@y.com\r\nDate: Wed, 01 Jan 2025 00:00:00 +0000\r\nMessage-ID: <1@b.com>\r\nSubject: Hi\r\n';
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64');
const add = (message: Record<string, unknown>) =>
  app.request('POST', '/commands/add-messages', {
    token: 'acme-token',
    json: { messages: [{ id: 'm1', ...message }] },
  });
const rejection = async (message: Record<string, unknown>) => {
  const { status, json } = await add(message);
  expect({ status, queued: json.queued }).toEqual({ status: 200, queued: 0 });
  return (json.rejected as Array<{ id: string; code: string; reason: string }>)[0];
};
async function deliver(message: Record<string, unknown>) {
  expect((await add(message)).json).toEqual({ ok: true, queued: 1, rejected: [] });
  await it.dispatcher.start();
  await it.until('acme', String(message.id ?? 'm1'), ({ status }) => status === 'sent');
  const [received] = server.messages;
  return { from: received?.from, to: received?.to, text: received?.raw.toString('latin1') };
}

describe('a ready-made message', () => {
  test('is delivered octet by octet, but for the correlation header at its top', async () => {
    const text = `${HEAD}Content-Type: text/plain; charset=iso-8859-1\r\n\r\ncaf\xe9\r\n.dot\r\n`;
    expect(await deliver({ raw: base64(text) })).toEqual({
      from: 'ada@b.com',
      to: ['x@y.com'],
      text: `X-Genro-Mail-ID: m1\r\n${text}`,
    });
    expect(await it.message('acme', 'm1')).toMatchObject({ subject: 'Hi', priority: 2 });
  });

  test('loses its Bcc, whose addresses are recipients, and every bare line end', async () => {
    const raw = base64(`${HEAD}Bcc: secret@y.com\n\nhello\n.\r\nMAIL FROM:<evil@b.com>\rend`);
    expect(await deliver({ raw })).toEqual({
      from: 'ada@b.com',
      to: ['x@y.com', 'secret@y.com'],
      text: `X-Genro-Mail-ID: m1\r\n${HEAD}\r\nhello\r\n.\r\nMAIL FROM:<evil@b.com>\r\nend\r\n`,
    });
  });

  test('goes to the envelope that is stated, with its own header left as it is', async () => {
    const sent = await deliver({
      raw: base64(`${HEAD}Bcc: secret@y.com\r\n\r\nbody\r\n`),
      from: 'Bob <bob@b.com>',
      to: ['one@z.com'],
      cc: 'Two <two@z.com>',
      bcc: 'three@z.com, one@z.com',
    });
    expect(sent).toEqual({
      from: 'bob@b.com',
      to: ['one@z.com', 'two@z.com', 'three@z.com'],
      text: `X-Genro-Mail-ID: m1\r\n${HEAD}\r\nbody\r\n`,
    });
  });

  test('may be sent by the null sender', async () => {
    const sent = await deliver({ raw: base64(`${HEAD}\r\nbody\r\n`), return_path: '<>' });
    expect(sent).toMatchObject({ from: '', to: ['x@y.com'] });
  });

  test('gets the Date and Message-ID that it lacks, and its own id in place of a forged one', async () => {
    const id = 'é'.repeat(200);
    const raw = base64('From: ada@b.com\r\nTo: x@y.com\r\nX-Genro-Mail-ID: other\r\n\r\nbody\r\n');
    const { text = '' } = await deliver({ id, raw });
    expect(text).toMatch(/^Date: Tue, 01 Jan 2030 00:00:00 \+0000\r\nMessage-ID: <[0-9a-f-]{36}@b\.com>\r\n/);
    expect(text.match(/^X-Genro-Mail-ID:/gm)).toHaveLength(1);
    expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThan(100);
    const value = /^X-Genro-Mail-ID: ((?:.*\r\n )*.*)\r\n/m.exec(text)?.[1] ?? '';
    const words = value.split(/\r\n /).map((word) => /^=\?utf-8\?B\?(.*)\?=$/.exec(word)?.[1] ?? '');
    expect(words.map((word) => Buffer.from(word, 'base64').toString()).join('')).toBe(id);
  });

  test('keeps priority, batch and times of the message around it', async () => {
    await add({
      raw: base64(`${HEAD}\r\nbody`),
      priority: 'high',
      batch_code: 'Q',
      deferred_ts: it.clock.now / 1000 + 60,
    });
    expect(await it.message('acme', 'm1')).toMatchObject({
      priority: 1,
      batchCode: 'Q',
      deferredAt: it.clock.now + 60_000,
    });
  });
});

describe('is refused', () => {
  const raw = base64(`${HEAD}\r\nbody\r\n`);

  test.each([
    ['subject', 'x'],
    ['subject', ''],
    ['body', 'x'],
    ['text', 'x'],
    ['html', 'x'],
    ['content_type', 'plain'],
    ['attachments', []],
    ['reply_to', 'x@y.com'],
    ['message_id', '<1@b.com>'],
    ['headers', {}],
  ])('together with %s (%j)', async (name, value) => {
    const refused = await rejection({ raw, [name]: value });
    expect(refused).toMatchObject({ id: 'm1', code: 'validation_failed' });
    expect(refused?.reason).toMatch(new RegExp(`^${name}: `));
  });

  test.each([
    ['no base64', 'not base64!', /^raw: .*not valid base64/],
    ['base64 without padding', raw.replace(/=+$/, '').slice(0, -1), /^raw: .*not valid base64/],
    ['nothing', '', /^raw: .*does not begin with a header/],
    ['no header', base64('Hello there,\r\n\r\nbody\r\n'), /^raw: Line 1 .*is not a header field/],
    ['an empty header', base64('\r\nbody\r\n'), /^raw: .*does not begin with a header/],
    ['no sender', base64('To: x@y.com\r\n\r\nbody'), /^raw: .*no From header.* with from\./],
    ['no recipient', base64('From: a@b.com\r\n\r\nbody'), /^raw: .*no recipient.* with to\./],
    ['two senders', base64(`From: z@b.com\r\n${HEAD}\r\n`), /^raw: .*more than one from header/],
    [
      'a recipient that cannot be read',
      base64('From: a@b.com\r\nTo: a@@b\r\n\r\n'),
      /^raw: The to header .* with to\./,
    ],
    ['NUL', base64(`${HEAD}\r\n\0`), /^raw: .*NUL/],
  ])('with %s', async (_what, bad, reason) => {
    const refused = await rejection({ raw: bad });
    expect(refused?.code).toBe('validation_failed');
    expect(refused?.reason).toMatch(reason);
  });

  test('with an envelope that is none', async () => {
    expect((await rejection({ raw, to: [] }))?.reason).toMatch(/^to: /);
    expect((await rejection({ raw, from: 'a@b@c' }))?.reason).toMatch(/^from: /);
    expect((await rejection({ raw, return_path: 'nobody' }))?.reason).toMatch(/^return_path: /);
  });

  test('when it is larger than a message may be', async () => {
    const roomy = await openTestAppOver(it, { bodyLimit: 100 * 1024 * 1024 });
    const large = Buffer.concat([Buffer.from(`${HEAD}\r\n`), Buffer.alloc(MAX_MESSAGE_BYTES, 'x')]);
    const { json } = await roomy.request('POST', '/commands/add-messages', {
      token: 'acme-token',
      json: { messages: [{ id: 'm1', raw: large.toString('base64') }] },
    });
    expect(json).toMatchObject({
      queued: 0,
      rejected: [{ code: 'body_too_large', reason: expect.stringMatching(/^raw: /) }],
    });
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { dialogue, type RawServer, startRawServer } from '../support/raw-server.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const e2e = openE2eHome();
let smtp: SmtpTestServer;
/** Ends a line at any LF, so that a bare one around a dot would end the message early. */
let lenient: RawServer;
const seen = { mail: [] as string[], rcpt: [] as string[], bodies: 0 };
afterAll(() => e2e.close());
afterAll(async () => {
  await smtp?.close();
  await lenient?.close();
});
beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'none' });
  lenient = await startRawServer(
    dialogue({
      MAIL: (client, line) => {
        seen.mail.push(line);
        client.write('250 sender ok\r\n');
      },
      RCPT: (client, line) => {
        seen.rcpt.push(line);
        client.write('250 recipient ok\r\n');
      },
      body: (client) => {
        seen.bodies += 1;
        client.write('250 taken\r\n');
      },
    }),
  );
  const { url, token } = await e2e.start('myserver');
  await callApi(url, token, 'POST', '/tenant', { tenant_id: 'acme' });
  for (const [id, port] of [
    ['smtp1', smtp.port],
    ['lenient', lenient.port],
  ] as const) {
    const account = {
      id,
      tenant_id: 'acme',
      host: '127.0.0.1',
      port,
      tls: 'none',
      is_default: id === 'smtp1',
    };
    expect((await callApi(url, token, 'POST', '/account', account)).status).toBe(200);
  }
});

interface Sent {
  id: string;
  from: string;
  recipients: string[];
  message_id: string;
  added_headers: string[];
}
let files = 0;
/** Queues a message from a file and returns what was said of it. */
const send = (eml: string | Uint8Array, ...flags: string[]) =>
  e2e.json<Sent>(['myserver', 'acme', 'send', e2e.file(`${++files}.eml`, eml), ...flags]);
/** Queues a message and returns it as the server received it. */
const deliver = async (eml: string | Uint8Array, ...flags: string[]) => {
  const count = smtp.messages.length + 1;
  const sent = await send(eml, ...flags);
  const received = (await smtp.waitFor(count))[count - 1];
  if (received === undefined) throw new Error('nothing was received');
  return { sent, received };
};

const HEADER = [
  'Date: Mon, 02 Mar 2026 10:00:00 +0100',
  'Message-ID: <one@example.com>',
  'From: App <app@example.com>',
  'To: Someone <to@example.net>',
].join('\r\n');

describe('a message from a file', () => {
  it('is delivered as it is: folding, odd spacing, 8-bit octets, dots and trailing blanks', async () => {
    const eml = Buffer.concat([
      Buffer.from(
        `${HEADER}\r\nX-Odd:   folded\r\n\t and  spaced \r\nSubject: caf\u00e9\r\n\r\n.\r\n..two\r\nblank \r\n`,
      ),
      Buffer.from([0xe9, 0xff, 0x80, 0x0d, 0x0a, 0x0d, 0x0a]),
    ]);
    const { sent, received } = await deliver(eml);
    expect(received.raw.equals(eml)).toBe(true);
    expect(received).toMatchObject({ from: 'app@example.com', to: ['to@example.net'] });
    expect(sent).toMatchObject({
      from: 'app@example.com',
      recipients: ['to@example.net'],
      message_id: '<one@example.com>',
      added_headers: [],
    });
  });

  it('has its line ends made CRLF, whatever they are', async () => {
    const { received } = await deliver(`${HEADER.replaceAll('\r\n', '\n')}\n\none\ntwo\rthree\r\nfour`);
    expect(received.raw.toString()).toBe(`${HEADER}\r\n\r\none\r\ntwo\r\nthree\r\nfour\r\n`);
  });

  it('loses its Bcc field, folded or not, but is delivered to those in it', async () => {
    const { received } = await deliver(
      `${HEADER}\r\nBcc: Hidden\r\n <hidden@example.net>,\r\n other@example.net\r\nCc: cc@example.net\r\n\r\nx\r\n`,
    );
    expect([...received.to].sort()).toEqual([
      'cc@example.net',
      'hidden@example.net',
      'other@example.net',
      'to@example.net',
    ]);
    expect(received.raw.toString()).toBe(`${HEADER}\r\nCc: cc@example.net\r\n\r\nx\r\n`);
  });

  it('gets the Date and Message-ID that it lacks, and that is said', async () => {
    const { sent, received } = await deliver('From: a@example.com\nTo: b@example.net\n\nx\n');
    expect(sent.added_headers).toEqual(['Date', 'Message-ID']);
    expect(received.messageId).toBe(sent.message_id);
  });

  it('goes to --to from --from in place of those of its header, which stays', async () => {
    const flags = ['--from', 'bounces@example.com', '--to', 'x@example.net', '--to', 'y@example.net'];
    const { received } = await deliver(`${HEADER}\r\nBcc: hidden@example.net\r\n\r\nx\r\n`, ...flags);
    expect(received).toMatchObject({ from: 'bounces@example.com', to: ['x@example.net', 'y@example.net'] });
    expect(received.raw.toString()).toBe(`${HEADER}\r\n\r\nx\r\n`);
  });

  it('may have the null sender', async () => {
    const { received } = await deliver(`${HEADER}\r\n\r\nx\r\n`, '--from', '<>');
    expect(received.from).toBe('');
  });

  it('may come from stdin', async () => {
    const count = smtp.messages.length + 1;
    const sent = await e2e.json('myserver acme send - --id from-stdin', {
      input: `${HEADER}\r\n\r\npiped\r\n`,
    });
    expect(sent).toMatchObject({ id: 'from-stdin', recipients: ['to@example.net'] });
    expect((await smtp.waitFor(count))[count - 1]?.raw.toString()).toBe(`${HEADER}\r\n\r\npiped\r\n`);
  });

  it('is refused with a NUL octet, in the header or the body', async () => {
    const before = e2e.counts('myserver');
    for (const eml of [`${HEADER}\r\nX: a\0b\r\n\r\nx\r\n`, `${HEADER}\r\n\r\nx\0`]) {
      const result = await e2e.cli('myserver acme send -', { input: eml });
      expect(result).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining('NUL') });
    }
    expect(e2e.counts('myserver')).toEqual(before);
  });
});

describe('29: a smuggled second message', () => {
  const second = (end: string): string =>
    [
      'MAIL FROM:<evil@example.org>',
      'RCPT TO:<victim@example.org>',
      'DATA',
      'From: evil@example.org',
      '',
      'smuggled',
      '.',
      '',
    ].join(end);
  const ends = [
    '\n.\n',
    '\n.\r\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\n',
    '\r\n.\r',
    '\r\n.\r\n',
    '\r\r\n.\r\r\n',
    '\n.\r',
  ];

  it('is one message with the declared recipients, even for a server that ends lines at a bare LF', async () => {
    const eml = `${HEADER}\r\n\r\nfirst${ends.map((end) => `${end}${second('\r\n')}${end}${second('\n')}`).join('')}`;
    const mark = lenient.lines.length;
    await send(eml, '--account', 'lenient', '--id', 'smuggler');
    await deliver(eml);
    await expect
      .poll(async () => (await e2e.json<{ status: string }>('myserver acme messages show smuggler')).status, {
        timeout: 20_000,
      })
      .toBe('sent');
    expect(seen.mail).toHaveLength(1);
    expect(seen.mail[0]).toMatch(/^MAIL FROM:<app@example\.com>/);
    expect(seen.rcpt.map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'RCPT TO:<to@example.net>',
    ]);
    expect(seen.bodies).toBe(1);
    expect(
      lenient.lines
        .slice(mark)
        .filter((line) => line.startsWith('.') && line !== '.')
        .every((line) => line === '..'),
    ).toBe(true);
  });

  it('arrives at a strict server as one message too, without a bare CR or LF in it', async () => {
    const last = smtp.messages.at(-1);
    expect(last?.to).toEqual(['to@example.net']);
    expect(last?.raw.toString('latin1')).not.toMatch(/\r(?!\n)|(?<!\r)\n/);
    expect(smtp.seen.mail).not.toContain('evil@example.org');
  });

  it('is no way out of the envelope either', async () => {
    const result = await e2e.cli(
      ['myserver', 'acme', 'send', '-', '--to', 'a@example.net>\r\nRCPT TO:<b@example.net'],
      {
        input: `${HEADER}\r\n\r\nx\r\n`,
      },
    );
    expect(result).toMatchObject({ code: 2, stdout: '' });
  });
});

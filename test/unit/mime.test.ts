import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ComposedMessage } from '../../src/core/types.js';
import { composeMime } from '../../src/delivery/mime.js';
import { headerOf, type ReadPart, readMime, readWords } from '../support/parse-mime.js';

const BASE: ComposedMessage = {
  from: { name: 'Ada', address: 'ada@b.com' },
  to: [{ name: '', address: 'x@y.com' }],
  cc: [],
  replyTo: [],
  subject: 'Hi',
  messageId: '<1@b.com>',
  date: Date.UTC(2025, 0, 1),
  headers: [],
  attachments: [],
};
const BARE = /\r(?!\n)|(?<!\r)\n/;

/** Composes, checks what must hold of every message, and reads it with the independent reader. */
async function compose(message: Partial<ComposedMessage>): Promise<ReadPart> {
  const bytes = await composeMime({ ...BASE, ...message });
  const text = bytes.toString('latin1');
  expect(text).not.toMatch(BARE);
  expect(text).not.toMatch(/\0/);
  expect(Math.max(...text.split('\r\n').map((line) => line.length))).toBeLessThanOrEqual(998);
  const read = readMime(bytes);
  expect(headerOf(read, 'bcc')).toBeUndefined();
  return read;
}

const attach = (filename: string, contentType: string, content: Buffer | string) => ({
  attachments: [{ filename, contentType, base64: Buffer.from(content).toString('base64') }],
});

describe('composeMime', () => {
  it('pitfall 19: writes the given Date, Message-ID and correlation header', async () => {
    const read = await compose({ text: 'Hello', headers: [{ key: 'X-Genro-Mail-ID', value: 'm1' }] });
    expect(headerOf(read, 'date')).toBe('Wed, 01 Jan 2025 00:00:00 +0000');
    expect(headerOf(read, 'message-id')).toBe('<1@b.com>');
    expect(headerOf(read, 'x-genro-mail-id')).toBe('m1');
    expect(headerOf(read, 'content-type')).toBe('text/plain; charset=utf-8');
  });

  it('makes text and html alternatives, and attachments parts of a mixed message', async () => {
    const bytes = Buffer.from([0, 1, 13, 10, 255]);
    const read = await compose({ text: 'Zoë', html: '<p>Zoë</p>', ...attach('ü.bin', '', bytes) });
    const [alternatives, file] = read.parts;
    expect(alternatives?.parts.map((part) => part.content.toString())).toEqual(['Zoë', '<p>Zoë</p>']);
    expect(file?.content.equals(bytes)).toBe(true);
    expect(headerOf(file ?? read, 'content-type')).toMatch(/^application\/octet-stream/);
    expect(headerOf(file ?? read, 'content-disposition')).toMatch(/filename\*0\*=utf-8''%C3%BC\.bin/);
  });

  it('derives the type of an attachment from its name when none is given', async () => {
    const read = await compose({ text: 'x', ...attach('a.pdf', '', 'x') });
    expect(headerOf(read.parts[1] ?? read, 'content-type')).toMatch(/^application\/pdf/);
  });

  it('attaches a message as one only when it can stand unencoded', async () => {
    const plain = await compose({ text: 'x', ...attach('a.eml', 'message/rfc822', 'Subject: a\n\nb') });
    expect(headerOf(plain.parts[1] ?? plain, 'content-type')).toMatch(/^message\/rfc822/);
    const cases = [
      attach('a.eml', '', 'Subject: \0'),
      attach('a.eml', 'message/rfc822', 'é'),
      attach('a.eml', 'message/rfc822', 'a'.repeat(999)),
      attach('a', 'multipart/mixed; boundary=x', 'x'),
    ];
    for (const given of cases) {
      const read = await compose({ text: 'x', ...given });
      expect(headerOf(read.parts[1] ?? read, 'content-type')).toMatch(/^application\/octet-stream/);
      expect(read.parts[1]?.content.toString('base64')).toBe(given.attachments[0]?.base64);
    }
  });

  it('pitfall 28: names of files and URLs in a message are text and nothing is read', async () => {
    const text = JSON.stringify({ path: '/etc/passwd', href: 'http://127.0.0.1:1/' });
    const read = await compose({ text, html: 'file:///etc/passwd', ...attach('/etc/passwd', '', 'x') });
    expect(read.parts[0]?.parts[0]?.content.toString()).toBe(text);
    expect(read.parts[1]?.content.toString()).toBe('x');
  });

  it('sends ASCII headers as they are given, and others as encoded-words', async () => {
    const headers = [
      { key: 'List-ID', value: '"News, daily" <news.b.com>' },
      { key: 'References', value: '<1@b.com> <2@b.com>' },
      { key: 'X-Name', value: 'Zoë' },
      { key: 'X-Wide', value: `a${' '.repeat(300)}b` },
    ];
    const read = await compose({ text: 'x', headers, subject: `a${' '.repeat(300)}b` });
    expect(headerOf(read, 'list-id')).toBe('"News, daily" <news.b.com>');
    expect(headerOf(read, 'references')).toBe('<1@b.com> <2@b.com>');
    expect(readWords(headerOf(read, 'x-name') ?? '')).toBe('Zoë');
    expect(headerOf(read, 'x-wide')).toBe('a b');
    expect(headerOf(read, 'subject')).toBe('a b');
  });

  it('writes well-formed UTF-8 for lone surrogates', async () => {
    const read = await compose({
      subject: 'a\ud800',
      text: 'b\udc00',
      to: [{ name: 'c\ud800', address: 'x@y.com' }],
    });
    expect(readWords(headerOf(read, 'subject') ?? '')).toBe('a\ufffd');
    expect(read.content.toString()).toContain('b\ufffd');
  });

  it('pitfall 26: a display name never becomes an address of its own', async () => {
    const name = 'ceo@evil.com>, "x" <y@evil.com';
    const read = await compose({
      text: 'x',
      from: { name, address: 'ada@b.com' },
      to: [{ name, address: 'x@y.com' }],
    });
    const quoted = `"${name.replaceAll('"', '\\"')}"`;
    expect(headerOf(read, 'from')).toBe(`${quoted} <ada@b.com>`);
    expect(headerOf(read, 'to')).toBe(`${quoted} <x@y.com>`);
  });

  it.each(['\n.\r\n', '\r.\r\n', '\r\n.\n', '\r.\r'])(
    'pitfall 29: a bare line end around a dot (%j) is made CRLF',
    async (dot) => {
      const read = await compose({ text: `a${dot}MAIL FROM:<x@y.z>` });
      expect(read.content.toString()).toMatch(/^a\r\n\.\r\nMAIL FROM:<x@y\.z>/);
    },
  );

  it('what goes in comes out: subject, names, text and bytes of any kind', async () => {
    const words = fc
      .string({ unit: 'grapheme', maxLength: 120 })
      .filter((text) => text === text.trim() && !/\p{Cc}|=\?| {2}/u.test(text));
    await fc.assert(
      fc.asyncProperty(
        words,
        words,
        fc.string({ unit: 'grapheme' }),
        fc.uint8Array(),
        async (subject, name, text, bytes) => {
          const read = await compose({
            subject,
            text: `_${text}`,
            to: [{ name, address: 'x@y.com' }],
            ...attach('a.bin', 'application/x-test', Buffer.from(bytes)),
          });
          expect(readWords(headerOf(read, 'subject') ?? '')).toBe(subject);
          const to = headerOf(read, 'to') ?? '';
          const shown = to
            .replace(/ ?<x@y\.com>$|^x@y\.com$/, '')
            .replace(/^"(.*)"$/, (_, inner: string) => inner.replace(/\\(.)/g, '$1'));
          expect(readWords(shown)).toBe(name);
          const body = read.parts[0]?.content.toString().replace(/\r\n$/, '');
          expect(body).toBe(`_${text}`.replace(/\r\n|\r|\n/g, '\r\n').replace(/\r\n$/, ''));
          expect(read.parts[1]?.content.equals(Buffer.from(bytes))).toBe(true);
        },
      ),
    );
  });
});

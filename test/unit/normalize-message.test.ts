import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilename } from '../../src/core/attachment.js';
import { decodeWords, encodeWords } from '../../src/core/encoded-word.js';
import { correlationValue, normalizeMessage } from '../../src/core/message.js';
import { DEFAULT_LIFETIME } from '../../src/core/message-parts.js';
import type { WireMessage } from '../../src/core/schemas/message.js';
import type { ComposedMessage, NewMessage } from '../../src/core/types.js';

const NOW = Date.UTC(2025, 0, 1);
const CONTEXT = { now: NOW, tenantId: 'acme', defaultPriority: 2 } as const;
const BASE: WireMessage = { id: 'm1', from: 'Ada <ada@b.com>', to: 'x@y.com', subject: 'Hi', body: 'Hello' };

function normalized(wire: Partial<WireMessage>, context = {}): NewMessage {
  const result = normalizeMessage({ ...BASE, ...wire }, { ...CONTEXT, ...context });
  if ('rejection' in result) throw new Error(result.rejection.reason);
  return result.message;
}

function rejected(wire: Partial<WireMessage>, context = {}): { reason: string; code: string } {
  const result = normalizeMessage({ ...BASE, ...wire }, { ...CONTEXT, ...context });
  if ('message' in result) throw new Error('the message was accepted');
  return result.rejection;
}

const composed = (message: NewMessage): ComposedMessage => JSON.parse(message.content.toString());
const file = (storage_path: string, more = {}) => ({
  attachments: [{ filename: 'a.txt', storage_path, ...more }],
});

describe('normalizeMessage', () => {
  it('makes a complete message of the least that a client may send', () => {
    const message = normalized({});
    expect(message).toMatchObject({
      id: 'm1',
      accountId: undefined,
      envelope: { from: 'ada@b.com', to: ['x@y.com'] },
      contentKind: 'composed',
      subject: 'Hi',
      priority: 2,
      deferredAt: undefined,
      expiresAt: NOW + DEFAULT_LIFETIME,
    });
    expect(composed(message)).toMatchObject({ from: { name: 'Ada', address: 'ada@b.com' }, text: 'Hello' });
  });

  it('pitfall 19: every message has a Date, a Message-ID and the correlation header', () => {
    const content = composed(normalized({}));
    expect(content.date).toBe(NOW);
    expect(content.messageId).toMatch(/^<[0-9a-f-]{36}@b\.com>$/);
    expect(content.headers).toContainEqual({ key: 'X-Genro-Mail-ID', value: 'm1' });
  });

  it('puts each recipient once into the envelope and no Bcc into the content', () => {
    const message = normalized({
      to: ['X <x@Y.com>', 'x@y.COM'],
      cc: 'c@y.com',
      bcc: 'c@y.com, secret@y.com',
    });
    expect(message.envelope.to).toEqual(['x@y.com', 'c@y.com', 'secret@y.com']);
    expect(message.content.toString()).not.toContain('secret');
  });

  it('takes the author from from, from_addr or the account', () => {
    expect(normalized({ from: null, from_addr: 'b@b.com' }).envelope.from).toBe('b@b.com');
    expect(normalized({ from: undefined }, { fallbackFrom: 'Shop <s@b.com>' }).envelope.from).toBe('s@b.com');
    expect(rejected({ from: undefined }).reason).toMatch(/no author/);
    expect(rejected({ from_addr: 'b@b.com' }).reason).toMatch(/alias/);
  });

  it('takes the envelope sender from return_path, the null sender included', () => {
    expect(normalized({ return_path: 'bounce@b.com' }).envelope.from).toBe('bounce@b.com');
    expect(normalized({ return_path: '<bounce@b.com>' }).envelope.from).toBe('bounce@b.com');
    expect(normalized({ return_path: '<>' }).envelope.from).toBe('');
    expect(rejected({ return_path: '' }).reason).toMatch(/^return_path: /);
  });

  it('reads body with content_type, or text and html, but not both', () => {
    expect(composed(normalized({ content_type: 'html' }))).toMatchObject({ html: 'Hello' });
    expect(composed(normalized({ body: null, text: 't', html: 'h' }))).toMatchObject({
      text: 't',
      html: 'h',
    });
    expect(rejected({ html: 'h' }).reason).toMatch(/^body: /);
  });

  it('keeps a given Message-ID, brackets or not, and refuses any other form', () => {
    expect(composed(normalized({ message_id: 'a.b@c.d' })).messageId).toBe('<a.b@c.d>');
    expect(composed(normalized({ message_id: '<a@c.d>' })).messageId).toBe('<a@c.d>');
    for (const bad of [
      '',
      'a',
      '<a@c',
      'a@c>',
      'a@b@c',
      'a@c\r\nBcc: x',
      '<a@c> <b@c>',
      `${'a'.repeat(300)}@c`,
    ]) {
      expect(rejected({ message_id: bad }).reason).toMatch(/^message_id: /);
    }
  });

  it('schedules: late ones wait, past ones are due, and 48 hours count from the first possible attempt', () => {
    const later = NOW + 3_600_000;
    expect(normalized({ deferred_ts: later / 1000 })).toMatchObject({
      deferredAt: later,
      expiresAt: later + DEFAULT_LIFETIME,
    });
    expect(normalized({ deferred_ts: 0 }).deferredAt).toBeUndefined();
    expect(normalized({ expires_ts: '2025-01-01T01:00:00+00:00' }).expiresAt).toBe(later);
    expect(rejected({ expires_ts: NOW / 1000 }).reason).toMatch(/already expired/);
    expect(rejected({ deferred_ts: later / 1000, expires_ts: later / 1000 }).reason).toMatch(/never be sent/);
    expect(rejected({ deferred_ts: 'soon' }).reason).toMatch(/^deferred_ts: /);
  });

  it('pitfall 22: what cannot be sent is refused here, with the field named', () => {
    expect(rejected({ from: '' }, { fallbackFrom: 'a@b.com' }).reason).toMatch(/^from: /);
    expect(rejected({ from: 'nobody' }).reason).toMatch(/^from: /);
    expect(rejected({ to: 'x@' }).reason).toMatch(/^to: /);
    expect(rejected({ to: null }).reason).toMatch(/no recipient/);
    expect(rejected({ reply_to: 'x' }).reason).toMatch(/^reply_to: /);
    expect(rejected({ subject: 'a\nBcc: x@y.z' }).reason).toMatch(/^subject: /);
    expect(rejected({ headers: { Bcc: 'x@y.z' } }).reason).toMatch(/^headers: /);
    expect(rejected({ tenant_id: 'other' }).code).toBe('tenant_mismatch');
    const many = Array.from({ length: 600 }, (_, n) => `u${n}@y.com`);
    expect(rejected({ to: many, cc: many }).reason).toMatch(/more than 1000/);
  });

  it('answers what is not built with not_supported', () => {
    for (const path of ['/etc/passwd', 'https://x.com/a', 'doc:1']) {
      expect(rejected(file(path)).code).toBe('not_supported');
    }
    expect(rejected(file('QQ==', { fetch_mode: 'filesystem' })).code).toBe('not_supported');
    expect(rejected(file('base64:QQ==', { auth: { token: 'x' } })).code).toBe('not_supported');
  });

  it('refuses what would be larger than 50 MiB when composed', () => {
    expect(rejected({ body: 'x'.repeat(18 * 1024 * 1024) }).code).toBe('body_too_large');
  });
});

describe('the correlation header', () => {
  it('holds any id as printable ASCII from which the id can be read back', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 255 }), (id) => {
        const value = correlationValue(id);
        expect(value).toMatch(/^[ -~]+$/);
        expect(Math.max(...value.split(' ').map((word) => word.length))).toBeLessThan(998);
        expect(value.startsWith('=?') ? decodeWords(value) : value).toBe(id);
      }),
    );
    expect(correlationValue('=?utf-8?Q?x?=')).not.toBe('=?utf-8?Q?x?=');
  });

  it('reads encoded-words of other charsets and leaves unknown ones alone', () => {
    expect(decodeWords('=?iso-8859-1?Q?Caf=E9_?= =?UTF-8?B?4pWV?= x')).toBe('Café ╕ x');
    expect(decodeWords('=?x-none?Q?a?=')).toBe('=?x-none?Q?a?=');
    expect(
      encodeWords('é'.repeat(100))
        .split(' ')
        .every((word) => word.length <= 75),
    ).toBe(true);
  });
});

describe('attachments', () => {
  const md5 = createHash('md5').update('hello').digest('hex');
  const hello = Buffer.from('hello').toString('base64');

  it('are stored as canonical base64 with the name that the recipient may see', () => {
    const message = normalized(
      file(`base64:${hello.slice(0, 4)}\r\n${hello.slice(4)}`, { mime_type: 'Text/Plain' }),
    );
    expect(composed(message).attachments).toEqual([
      { filename: 'a.txt', contentType: 'text/plain', base64: hello },
    ]);
    expect(composed(normalized(file(hello, { fetch_mode: 'base64' }))).attachments[0]?.base64).toBe(hello);
  });

  it.each(['aGVsbG8', 'aGVsbG8*', 'aGVsbG9=', '====', 'a-_='])(
    'that are not base64 are refused (%s)',
    (text) => {
      expect(rejected(file(`base64:${text}`)).reason).toMatch(/^attachments\.0: .*base64/);
    },
  );

  it('are checked against content_md5 and against the marker in the name', () => {
    const content = `base64:${hello}`;
    const marked = { filename: `report_{MD5:${md5.toUpperCase()}}.pdf`, storage_path: content };
    expect(composed(normalized({ attachments: [marked] })).attachments[0]?.filename).toBe('report.pdf');
    expect(composed(normalized(file(content, { content_md5: md5 }))).attachments).toHaveLength(1);
    expect(rejected(file(content, { content_md5: '0'.repeat(32) })).reason).toMatch(/MD5/);
    expect(rejected({ attachments: [{ ...marked, storage_path: 'base64:QQ==' }] }).reason).toMatch(/MD5/);
  });

  it.each(['multipart/mixed', 'message/external-body', 'text', 'text/plain; name=x', 'text/plain\r\nX: y'])(
    'of type %j are refused',
    (mime_type) => {
      expect(rejected(file(`base64:${hello}`, { mime_type })).reason).toMatch(/mime_type/);
    },
  );

  it('pitfall 32: no name of a file can be a path or carry a control or bidirectional character', () => {
    expect(parseFilename('../../etc/passwd').filename).toBe('passwd');
    expect(parseFilename('C:\\x\\y.doc').filename).toBe('y.doc');
    expect(parseFilename('inv\u202efdp\r\n.exe').filename).toBe('invfdp.exe');
    expect(['', '..', '/', 'a/', '\0'].map((name) => parseFilename(name).filename)).toEqual(
      new Array(5).fill('attachment'),
    );
    expect(parseFilename(`${'x'.repeat(500)}.pdf`).filename).toMatch(/^x{100,196}\.pdf$/);
    fc.assert(
      fc.property(fc.string({ unit: fc.nat(0x2fff).map((code) => String.fromCharCode(code)) }), (name) => {
        expect(parseFilename(name).filename).toMatch(/^[^/\\\p{Cc}]{1,200}$/u);
      }),
    );
  });
});

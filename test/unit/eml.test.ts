import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { prepareEml } from '../../src/core/eml.js';
import { MailProxyError } from '../../src/core/errors.js';
import { normalizeLineEnds } from '../../src/core/line-ends.js';
import { headerOf, readMime } from '../support/parse-mime.js';

const HEAD =
  'From: Ada <ada@b.com>\r\nTo: x@y.com\r\nDate: Wed, 01 Jan 2025 00:00:00 +0000\r\nMessage-ID: <1@b.com>\r\n';
const prepare = (text: string, flags = {}) => prepareEml(Buffer.from(text), flags, Date.UTC(2025, 0, 1));
const BARE = /\r(?!\n)|(?<!\r)\n/;

describe('prepareEml', () => {
  it('delivers a proper message octet by octet', () => {
    const text = `${HEAD}Subject: =?utf-8?Q?Caf=C3=A9?=\r\n\r\nbody\r\n.\r\n..x\r\n`;
    const prepared = prepare(text);
    expect(prepared.bytes.toString()).toBe(text);
    expect(prepared).toMatchObject({
      envelope: { from: 'ada@b.com', to: ['x@y.com'] },
      messageId: '<1@b.com>',
      subject: 'Café',
      added: [],
    });
  });

  it('keeps 8-bit octets, whatever charset they are of', () => {
    const bytes = Buffer.from(`${HEAD}\r\n\xe9\xff\x80\r\n`, 'latin1');
    expect(prepareEml(bytes).bytes.equals(bytes)).toBe(true);
  });

  it.each(['\n', '\r', '\r\n', '\r\r\n'])('reads and rewrites line ends of %j', (end) => {
    const text = `${HEAD}Bcc: secret@y.com\r\n\r\nline\r\n`;
    const prepared = prepare(text.replaceAll('\r\n', end));
    expect(prepared.bytes.toString()).toBe(`${HEAD}\r\nline\r\n`);
    expect(prepared.envelope.to).toEqual(['x@y.com', 'secret@y.com']);
  });

  it.each(['\n.\r\n', '\r.\r\n', '\r\n.\n', '\n.\n', '\r.\r', '\r\n\r.\r\n'])(
    'pitfall 29: bare line ends around a dot (%j) smuggle no second message',
    (dot) => {
      const out = prepare(`${HEAD}\r\nhello${dot}MAIL FROM:<evil@b.com>\r\n`).bytes.toString();
      expect(out).not.toMatch(BARE);
      expect(out).toMatch(/\r\n\.\r\n/);
    },
  );

  it('removes every Bcc and Resent-Bcc field, folded ones and any case included', () => {
    const prepared = prepare(
      `bCC: a@y.com,\r\n\tb@y.com,\r\n \r\n c@y.com\r\n${HEAD}Bcc:\r\nBCC: d@y.com\r\nResent-Bcc: e@y.com\r\n\r\nBcc: body\r\n`,
      { to: ['z@y.com'] },
    );
    expect(prepared.bytes.toString()).toBe(`${HEAD}\r\nBcc: body\r\n`);
    expect(prepared.envelope.to).toEqual(['z@y.com']);
  });

  it('lets the flags win, and then the header they replace need not be readable', () => {
    const prepared = prepare(HEAD.replace('x@y.com', 'Team: a@b.com;').concat('\r\n'), {
      from: '<>',
      to: ['Q@Y.com', 'Q@y.com'],
    });
    expect(prepared.envelope).toEqual({ from: '', to: ['Q@y.com'] });
  });

  it('takes the sender from Sender, and everything from the newest Resent block when there is one', () => {
    expect(prepare(`${HEAD}Sender: s@b.com\r\n\r\n`).envelope.from).toBe('s@b.com');
    const resent =
      'Resent-From: r@b.com\r\nResent-To: new@y.com\r\nResent-From: old@b.com\r\nResent-To: old@y.com\r\n';
    expect(prepare(`${resent}${HEAD}\r\n`).envelope).toEqual({ from: 'r@b.com', to: ['new@y.com'] });
  });

  it('reads undisclosed recipients as none', () => {
    const head = HEAD.replace('x@y.com', 'undisclosed-recipients:;');
    expect(prepare(`${head}Bcc: a@y.com\r\n\r\n`).envelope.to).toEqual(['a@y.com']);
    expect(() => prepare(`${head}\r\n`)).toThrow(/no recipient/);
  });

  it('pitfall 19: a missing or empty Date or Message-ID is put at the top, and said', () => {
    const prepared = prepare('From: a@b.com\r\nTo: x@y.com\r\nDate:\r\n\r\nhi');
    expect(prepared.added).toEqual(['Date', 'Message-ID']);
    expect(prepared.messageId).toMatch(/^<[0-9a-f-]{36}@b\.com>$/);
    expect(prepared.bytes.toString()).toBe(
      `Date: Wed, 01 Jan 2025 00:00:00 +0000\r\nMessage-ID: ${prepared.messageId}\r\nFrom: a@b.com\r\nTo: x@y.com\r\n\r\nhi\r\n`,
    );
  });

  it('adds a From from a stated sender only', () => {
    expect(prepare('To: x@y.com\r\n\r\n', { from: 'a@b.com' }).added).toContain('From');
    expect(() => prepare('To: x@y.com\r\n\r\n')).toThrow(/no From header/);
    expect(() => prepare('To: x@y.com\r\n\r\n', { from: '' })).toThrow(/null sender/);
  });

  it('drops a byte order mark and the From line of an mbox', () => {
    expect(prepare(`\ufeffFrom ada@b.com Wed Jan  1 00:00:00 2025\n${HEAD}\n`).bytes.toString()).toBe(
      `${HEAD}\r\n`,
    );
  });

  it.each([
    ['NUL', `${HEAD}\r\na\0b`, /NUL/],
    ['nothing', '', /does not begin/],
    ['no header', '\r\nbody', /does not begin/],
    ['plain text', 'hello world\r\n', /Line 1 .*not a header field/],
    ['a stray continuation', ` x\r\n${HEAD}\r\n`, /Line 1 .*continues/],
    ['a space before the colon', `${HEAD}Bcc : x@y.com\r\n\r\n`, /Line 5 .*not a header field/],
    ['DEL', `${HEAD}X: a\x7fb\r\n\r\n`, /Line 5 .*control/],
    ['ESC', `${HEAD}X: a\x1bb\r\n\r\n`, /Line 5 .*control/],
    ['a long line', `${HEAD}X: ${'a'.repeat(996)}\r\n\r\n`, /Line 5 .*998/],
    ['an endless header', `${HEAD}${` ${'x'.repeat(70)}\r\n`.repeat(15_000)}\r\n`, /octets that a header/],
    ['an unreadable To', HEAD.replace('x@y.com', 'x y z').concat('\r\n'), /The to header cannot be read/],
    ['an unreadable From', HEAD.replace('<ada@b.com>', '').concat('\r\n'), /The from header cannot be read/],
    ['two From fields', `${HEAD}from: e@b.com\r\n\r\n`, /more than one from header/],
    ['two authors', HEAD.replace('<ada', '<x@y.z>, <ada').concat('\r\n'), /exactly one address/],
  ])('refuses %s with a sentence that names the place', (_what, text, why) => {
    expect(() => prepare(text)).toThrow(why);
    expect(() => prepare(text)).toThrow(MailProxyError);
  });

  it('for any input either refuses it or gives CRLF only, one empty line after the header, and no Bcc', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        '\r',
        '\n',
        '\r\n',
        '.',
        ' ',
        '\t',
        'Bcc: s@y.com',
        'bcc:',
        'X: y',
        'To: q@y.com',
        ':',
        'a',
        'é',
      ),
      fc.string({ maxLength: 5 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        let out: Buffer;
        try {
          out = prepare(`${HEAD}${pieces.join('')}`, { from: 'a@b.com', to: ['t@y.com'] }).bytes;
        } catch (error) {
          expect(error).toBeInstanceOf(MailProxyError);
          return;
        }
        expect(out.toString('latin1')).not.toMatch(BARE);
        expect(out.subarray(-2).toString()).toBe('\r\n');
        const read = readMime(out);
        expect(headerOf(read, 'bcc')).toBeUndefined();
        expect(headerOf(read, 'to')).toBe('x@y.com');
      }),
      { numRuns: 1000 },
    );
  });
});

describe('normalizeLineEnds', () => {
  it('changes line ends and nothing else, and is done after one pass', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('\r', '\n', 'a', '.') }), (text) => {
        const once = normalizeLineEnds(Buffer.from(text));
        expect(once.toString()).not.toMatch(BARE);
        expect(once.toString().replace(/[\r\n]/g, '')).toBe(text.replace(/[\r\n]/g, ''));
        expect(normalizeLineEnds(once)).toBe(once);
      }),
    );
  });
});

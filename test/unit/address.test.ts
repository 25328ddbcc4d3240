import fc from 'fast-check';
import addressparser from 'nodemailer/lib/addressparser';
import { describe, expect, it } from 'vitest';
import { domainOf, parseAddress } from '../../src/core/address.js';
import { MailProxyError } from '../../src/core/errors.js';
import { parseMailbox, parseMailboxList } from '../../src/core/mailbox.js';

/** Runs a parser and returns its own failure; any other throw fails the test. */
function failure(run: () => unknown): MailProxyError | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof MailProxyError && error.code === 'validation_failed') return error;
    throw error;
  }
}

/** Input made of the characters that address grammars turn on. */
const hostile = fc.string({
  unit: fc.constantFrom(...'ab.@<>"\\()[]:;, \t\r\n\0\x7fé。%='.split(''), 'xn--', '\ud800', '\u202e'),
  maxLength: 60,
});
const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const address = fc
  .tuple(fc.stringMatching(/^[a-z0-9+_-]{1,12}$/), label, fc.stringMatching(/^[a-z]{2,6}$/))
  .map(([local, host, top]) => `${local}@${host}.${top}`);

describe('parseAddress', () => {
  it.each([
    ['a@example.com', 'a@example.com'],
    ['First.Last+tag@EXAMPLE.com', 'First.Last+tag@example.com'],
    ["o'neil!#$%&*/=?^_`{|}~-@x.org", "o'neil!#$%&*/=?^_`{|}~-@x.org"],
    ['root@localhost', 'root@localhost'],
    ['a@bücher.example', 'a@xn--bcher-kva.example'],
    ['a@XN--BCHER-KVA.example', 'a@xn--bcher-kva.example'],
    ['a@ex。example', 'a@ex.example'],
  ])('accepts %s', (given, expected) => {
    expect(parseAddress(given)).toBe(expected);
  });

  it.each([
    ['', /empty/],
    ['nobody', /no @/],
    ['@example.com', /missing/],
    ['a@', /missing/],
    ['a@b@c.com', /more than one/],
    ['.a@example.com', /not allowed/],
    ['a..b@example.com', /not allowed/],
    ['élan@example.com', /ASCII/],
    [`${'a'.repeat(65)}@example.com`, /64 octets/],
    [`a@${'b'.repeat(64)}.com`, /host name/],
    [`a@${'b.'.repeat(130)}com`, /253 octets/],
    [`${'a'.repeat(64)}@${'b'.repeat(63)}.${'b'.repeat(63)}.${'b'.repeat(62)}.c`, /254 octets/],
    ['a@-b.com', /host name/],
    ['a@b_c.com', /letters/],
    ['a@b..com', /host name/],
    ['a@b.com.', /host name/],
    ['a@[127.0.0.1]', /brackets/],
    ['a@127.0.0.1', /IP address/],
    ['a@１２７.０.０.１', /IP address/],
    ['a@example.0x7f', /IP address/],
    ['a@xn--a', /host name/],
  ])('refuses %j', (given, why) => {
    expect(failure(() => parseAddress(given))?.message).toMatch(why);
  });

  it.each([
    'a@b.com\r\nRCPT TO:<x@y.z>',
    'a\n@b.com',
    'a@b.com\0',
    'a@b\x7f.com',
    'a@b.com\u0085',
    'a@b.com\u2028',
  ])('pitfall 25: no line break or control gets through an address (%j)', (given) => {
    expect(failure(() => parseAddress(given))).toBeDefined();
  });

  it.each([
    '"a@evil x"@ok.com',
    '"a"@ok.com',
    'a(evil.com)@ok.com',
    'a@ok.com(evil)',
    'a@ok.com SIZE=1',
    'a@ok.com> NOTIFY=NEVER',
    '<a@ok.com>',
    '@relay.com:a@ok.com',
    'a%evil.com@',
    'a@ok.com/evil.com',
    'a@ok%2ecom',
    'a@ok.com／evil.com',
    'a@ok.com#evil',
    'a@ok.com?evil',
  ])('pitfall 26: what is checked is the address that is used (%j)', (given) => {
    expect(failure(() => parseAddress(given))).toBeDefined();
  });

  it('returns only what can stand between angle brackets, or fails with its own error', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        let parsed = '';
        if (failure(() => (parsed = parseAddress(text))) !== undefined) return;
        expect(parsed).toMatch(/^[!#-'*+\-./0-9=?A-Z^-~]+@[a-z0-9.-]+$/);
        expect(parseAddress(parsed)).toBe(parsed);
        expect(domainOf(parsed)).toBe(parsed.split('@')[1]);
      }),
      { numRuns: 2000 },
    );
  });

  it('never repeats more than 80 characters of the input, nor a control or bidirectional one', () => {
    const message = failure(() => parseAddress(`\u001b[31m\u202e${'x'.repeat(300)}`))?.message ?? '';
    expect(message.length).toBeLessThan(200);
    expect(message).not.toMatch(/[\p{Cc}\u202e]/u);
  });
});

describe('parseMailbox', () => {
  it.each([
    ['a@b.com', '', 'a@b.com'],
    ['<a@b.com>', '', 'a@b.com'],
    ['Ada Lovelace <ada@b.com>', 'Ada Lovelace', 'ada@b.com'],
    ['"Lovelace, Ada \\"x\\" @home" <ada@b.com>', 'Lovelace, Ada "x" @home', 'ada@b.com'],
    ['Zoë  Ångström <z@b.com>', 'Zoë Ångström', 'z@b.com'],
    ['J. "Q" O\'Hara\t<j@b.com>', "J. Q O'Hara", 'j@b.com'],
  ])('reads %s', (text, name, addr) => {
    expect(parseMailbox(text)).toEqual({ name, address: addr });
  });

  it.each([
    'a@evil.com <b@ok.com>',
    'Ada ada@b.com',
    'Ada',
    '"Ada"',
    '"a b"@ok.com',
    'Ada (home) <a@b.com>',
    'Friends: a@b.com;',
    'a@b.com; c@d.com',
    'Ada <a@b.com> <c@d.com>',
    'Ada <a@b.com> x',
    'Ada <a@b.com',
    'Ada <<a@b.com>>',
    '"Ada <a@b.com>',
    'Ada\r\nBcc: x@y.z <a@b.com>',
    'a@b.com, c@d.com',
    '',
    ' , ',
  ])('refuses %j', (text) => {
    expect(failure(() => parseMailbox(text))).toBeDefined();
  });
});

describe('parseMailboxList', () => {
  it('reads comma-separated strings, skipping empty elements, and lists of single mailboxes', () => {
    const two = [
      { name: 'X, Y', address: 'a@b.com' },
      { name: '', address: 'c@d.com' },
    ];
    expect(parseMailboxList('"X, Y" <a@b.com>,, c@d.com,')).toEqual(two);
    expect(parseMailboxList(['"X, Y" <a@b.com>', 'c@d.com'])).toEqual(two);
    expect(parseMailboxList('')).toEqual([]);
    expect(failure(() => parseMailboxList(['a@b.com, c@d.com']))).toBeDefined();
  });

  it('stops at its limit', () => {
    expect(failure(() => parseMailboxList('a@b.com,'.repeat(1001)))?.message).toMatch(/more than 1000/);
    expect(failure(() => parseMailboxList(new Array<string>(1001).fill('a@b.com')))?.message).toMatch(
      /more than 1000/,
    );
    expect(failure(() => parseMailboxList('a@b.com, c@d.com', 1))).toBeDefined();
  });

  it('fails only with its own error, whatever it is given', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        failure(() => parseMailboxList(text));
      }),
      { numRuns: 2000 },
    );
  });

  it('reads from a list what an independent parser reads from it', () => {
    const name = fc.stringMatching(/^[A-Za-z,"\\é.@:;<>() ]{0,20}$/);
    fc.assert(
      fc.property(fc.array(fc.tuple(name, address), { minLength: 1, maxLength: 8 }), (boxes) => {
        const text = boxes
          .map(([display, addr]) => `"${display.replace(/["\\]/g, '\\$&')}" <${addr}>`)
          .join(', ');
        const ours = parseMailboxList(text);
        const theirs = addressparser(text, { flatten: true });
        expect(ours.map((box) => box.address)).toEqual(boxes.map(([, addr]) => addr));
        expect(ours.map((box) => box.address)).toEqual(theirs.map((box) => box.address));
        expect(ours.map((box) => box.name)).toEqual(boxes.map(([display]) => display.trim()));
      }),
    );
  });

  it.each([
    '(',
    '<',
    '"',
    ',',
    '\\',
    '"\\',
    ':',
    '@',
    'a ',
    '<>',
    '<a>,',
    '""',
    '"a" ',
    '((',
    'a@b.com <',
    '\u3000',
    ' ',
  ])('pitfall 27: 100 kB of %j takes time linear in its length', (piece) => {
    // A quadratic pass over this much would take minutes, the test's own time limit being seconds.
    const text = piece.repeat(Math.ceil(100_000 / piece.length));
    for (let i = 0; i < 10; i++) failure(() => parseMailboxList(text));
    failure(() => parseAddress(text));
  });
});

import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { escapeControl, formatCsv, formatTable, formatTime, wantsColor } from '../../src/cli/output.js';
import { displayWidth } from '../../src/cli/text-width.js';

const zone = process.env.TZ;
afterEach(() => {
  if (zone === undefined) delete process.env.TZ;
  else process.env.TZ = zone;
});

describe('ESC, OSC and bidi characters of a subject never reach the terminal', () => {
  it.each([
    ['\u001b]0;owned\u0007', '\\x1b]0;owned\\x07'],
    ['a\u202egpj.exe', 'a\\u202egpj.exe'],
    ['\u009b31m', '\\x9b31m'],
    ['two\r\nlines\t', 'two\\r\\nlines\\t'],
    ['\u{e0041}', '\\u{e0041}'],
    ['zero\u200bwidth\ufeff', 'zero\\u200bwidth\\ufeff'],
    ['\ud800', '\\ud800'],
    ['Grüße, 日本 👍', 'Grüße, 日本 👍'],
  ])('%j', (text, escaped) => expect(escapeControl(text)).toBe(escaped));

  it('holds for any text, in any cell of a table', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const table = formatTable([{ text }], [{ header: 'T', value: (row) => row.text }]);
        expect(table.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]/u);
        expect(table.split('\n')).toHaveLength(3);
      }),
    );
  });
});

describe('formatTable', () => {
  const columns = [
    { header: 'ID', value: (row: { id: string; n: number | null }) => row.id },
    { header: 'COUNT', value: (row: { id: string; n: number | null }) => row.n, align: 'right' as const },
  ];

  it('aligns columns and leaves no trailing blanks', () => {
    expect(
      formatTable(
        [
          { id: 'smtp1', n: 7 },
          { id: 'a', n: null },
        ],
        columns,
      ),
    ).toBe('ID     COUNT\nsmtp1      7\na\n');
  });

  it('fits every line into the width of the terminal', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ id: fc.string({ unit: 'grapheme' }), n: fc.integer() })), (rows) => {
        for (const line of formatTable(rows, columns, 30).split('\n'))
          expect(displayWidth(line)).toBeLessThanOrEqual(30);
      }),
    );
  });

  it('counts wide characters as two cells', () => {
    expect(
      formatTable(
        [
          { id: '日本', n: 1 },
          { id: 'abcd', n: 2 },
        ],
        columns,
      ),
    ).toBe('ID    COUNT\n日本      1\nabcd      2\n');
  });
});

describe('=+-@ cells do not run in a spreadsheet', () => {
  const csv = (value: string | number) =>
    formatCsv([{ value }], [{ header: 'v', value: (row) => row.value }]).slice(3, -2);
  it.each([
    ['=1+1', "'=1+1"],
    ['+49', "'+49"],
    ['-x', "'-x"],
    ['@SUM(A1)', "'@SUM(A1)"],
    ['\t=1', '"\'\t=1"'],
    ['\r=1', '"\'\r=1"'],
    ['=HYPERLINK("http://x","y")', '"\'=HYPERLINK(""http://x"",""y"")"'],
    ['a,b', '"a,b"'],
    ['a\nb', '"a\nb"'],
    ['\u001b[31m', '\\x1b[31m'],
    ['plain', 'plain'],
  ])('%j', (value, cell) => expect(csv(value)).toBe(cell));

  it('leaves numbers numbers', () => expect(csv(-5)).toBe('-5'));

  it('ends lines with CRLF (RFC 4180)', () => {
    expect(
      formatCsv(
        [{ a: 1, b: null }],
        [
          { header: 'a', value: (r) => r.a },
          { header: 'b', value: (r) => r.b },
        ],
      ),
    ).toBe('a,b\r\n1,\r\n');
  });
});

describe('formatTime', () => {
  it.each([
    ['UTC', '2026-01-02 03:04:05 +00:00'],
    ['Asia/Kolkata', '2026-01-02 08:34:05 +05:30'],
    ['America/St_Johns', '2026-01-01 23:34:05 -03:30'],
  ])('shows the operator’s own time in %s with its offset', (tz, text) => {
    process.env.TZ = tz;
    expect(formatTime(Date.UTC(2026, 0, 2, 3, 4, 5))).toBe(text);
  });

  it('is empty for no time', () => expect(formatTime(null)).toBe(''));
});

describe('colour', () => {
  it('is used on a terminal only, and never with NO_COLOR', () => {
    expect(wantsColor({ isTTY: true }, {})).toBe(true);
    expect(wantsColor({ isTTY: true }, { NO_COLOR: '1' })).toBe(false);
    expect(wantsColor({ isTTY: true }, { TERM: 'dumb' })).toBe(false);
    expect(wantsColor({}, {})).toBe(false);
  });
});

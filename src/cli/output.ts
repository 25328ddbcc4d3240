import { styleText } from 'node:util';
import { displayWidth, truncate } from './text-width.js';

/** A value that a table or CSV cell may hold; null and undefined are empty cells. */
type Cell = string | number | boolean | null | undefined;

/** One column of a table: its heading and how a row's cell is made. */
export interface Column<Row> {
  header: string;
  value: (row: Row) => Cell;
  /** Numbers read best to the right. @defaultValue left */
  align?: 'left' | 'right';
}

/** Colours used by this program. */
export type Paint = 'red' | 'green' | 'yellow' | 'bold' | 'dim';

// C0 and C1 controls, what orders text right-to-left (CVE-2021-42574), line separators, tag characters and
// invisible marks: everything that can drive a terminal or make text look like other text.
const UNSAFE =
  /[\p{Cc}\p{Cs}\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;
const NAMED: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/** Text from outside, safe to print on one line: control, escape and bidirectional characters are spelled out. */
export function escapeControl(text: string): string {
  return text.replace(UNSAFE, spellOut);
}

function spellOut(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (NAMED[character]) return NAMED[character];
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${code.toString(16).padStart(4, '0')}` : `\\u{${code.toString(16)}}`;
}

/** Whether colours may be written: a terminal that can show them, and `NO_COLOR` (no-color.org) not set. */
export function wantsColor(stream: { isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): boolean {
  return stream.isTTY === true && !env.NO_COLOR && env.TERM !== 'dumb';
}

/** Colours `text` when the stream it goes to shows colours, and leaves it as it is otherwise. */
export function paint(style: Paint, text: string, stream: { isTTY?: boolean } = process.stdout): string {
  return wantsColor(stream) ? styleText(style, text) : text;
}

/**
 * Lays rows out in columns, each as wide as its widest cell. When `width` (terminal cells) is given, the widest
 * columns give way until a line fits; cells are never wrapped.
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  width?: number,
): string {
  const lines = [
    columns.map((column) => column.header),
    ...rows.map((row) => columns.map((column) => escapeControl(String(column.value(row) ?? '')))),
  ];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => displayWidth(line[i] ?? ''))));
  if (width !== undefined) shrink(widths, width - 2 * (columns.length - 1));
  return lines
    .map((line) => {
      const cells = line.map((cell, i) => {
        const text = truncate(cell, widths[i] ?? 0);
        const padding = ' '.repeat(Math.max(0, (widths[i] ?? 0) - displayWidth(text)));
        return columns[i]?.align === 'right' ? padding + text : text + padding;
      });
      return `${cells.join('  ').trimEnd()}\n`;
    })
    .join('');
}

/** Takes cells from the widest column, one at a time, but leaves each at least four. */
function shrink(widths: number[], room: number): void {
  let total = widths.reduce((sum, each) => sum + each, 0);
  while (total > room) {
    const widest = Math.max(...widths);
    if (widest <= 4) return;
    widths[widths.indexOf(widest)] = widest - 1;
    total -= 1;
  }
}

/** Prints a table for people on stdout; on a terminal no line is wider than the window. */
export function printTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
  const width = process.stdout.isTTY ? process.stdout.columns : undefined;
  const [header = '', ...body] = formatTable(rows, columns, width).split('\n');
  process.stdout.write(`${paint('bold', header)}\n${body.join('\n')}`);
}

/**
 * Rows as CSV (RFC 4180: CRLF, quotes doubled). A text cell that a spreadsheet would run as a formula gets a
 * leading apostrophe; control characters are spelled out, except the line breaks and tabs that quotes may hold.
 */
export function formatCsv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const lines = [
    columns.map((column) => column.header),
    ...rows.map((row) => columns.map((c) => c.value(row))),
  ];
  return lines.map((line) => `${line.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(value: Cell): string {
  if (typeof value !== 'string') return String(value ?? '');
  const neutral = /^[=+\-@\t\r\n]/.test(value) ? `'${value}` : value;
  const text = neutral.replace(UNSAFE, (character) => (NAMED[character] ? character : spellOut(character)));
  return /[",\t\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Prints rows as CSV on stdout; see {@link formatCsv}. */
export function printCsv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
  process.stdout.write(formatCsv(rows, columns));
}

/** A moment (Unix milliseconds) in the operator's own zone with its offset: `2026-03-01 14:05:09 +01:00`; `` for null. */
export function formatTime(at: number | null | undefined): string {
  if (at === null || at === undefined) return '';
  const date = new Date(at);
  const two = (value: number) => String(value).padStart(2, '0');
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}

/** Prints one thing as lines of `name  value`; nested values as JSON, what is null left out. */
export function printRecord(record: Readonly<Record<string, unknown>>): void {
  const shown = Object.entries(record).filter(([, value]) => value !== null && value !== undefined);
  const width = Math.max(...shown.map(([name]) => name.length));
  for (const [name, value] of shown) {
    const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
    process.stdout.write(`${paint('bold', name.padEnd(width))}  ${escapeControl(text)}\n`);
  }
}

import {
  chmodSync,
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { createLog, rotatingFile, textLine } from '../../src/daemon/log.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let directory = '';
beforeEach(() => {
  directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-log-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
});

const time = Date.UTC(2030, 0, 2, 3, 4, 5, 6);

describe('a line of the text log', () => {
  test('has the documented form', () => {
    const entry = { level: 30, time, msg: "API auth successful for tenant 'acme'" };
    expect(textLine(JSON.stringify(entry))).toBe(
      "2030-01-02T03:04:05.006Z INFO  - API auth successful for tenant 'acme'\n",
    );
    expect(textLine(JSON.stringify({ ...entry, level: 40 }))).toContain(' WARN  - ');
    expect(textLine(JSON.stringify({ ...entry, level: 50 }))).toContain(' ERROR - ');
  });

  test('pitfall 34: control and bidirectional characters from outside are shown, not sent to a terminal', () => {
    const msg = 'a\u001b[2J\u202eb\r\nINFO  - forged\u2028\u0007';
    const line = textLine(JSON.stringify({ level: 30, time, msg }));
    expect(line).toContain('a\\u{1b}[2J\\u{202e}b\\u{d} | INFO  - forged\\u{2028}\\u{7}\n');
    expect(line.trimEnd()).not.toContain('\n');
  });

  test('of an access or a login says milliseconds, token and address after the message, escaped too', () => {
    const access = { msg: 'GET /status 200', method: 'GET', route: '/status', status: 200, ms: 1.5 };
    const line = (fields: object) => textLine(JSON.stringify({ level: 30, time, ...fields }));
    expect(line({ ...access, token: 'acme/default', address: '192.0.2.7' })).toMatch(
      / - GET \/status 200 ms=1\.5 token=acme\/default address=192\.0\.2\.7\n$/,
    );
    expect(line({ ...access, token: null, address: '' })).toMatch(/ms=1\.5 token=- address=-\n$/);
    const msg = 'API auth failed: invalid token';
    expect(line({ msg, address: '::1\u001b[2J' })).toContain(
      ' - API auth failed: invalid token address=::1\\u{1b}[2J\n',
    );
    const failed = { msg: 'It failed', route: '/status', err: { message: 'broken' } };
    expect(line(failed)).toContain(' - It failed route=/status: broken\n');
  });

  test('tells the cause of a failure on the same line', () => {
    const err = { message: 'broken', stack: 'Error: broken\n    at x' };
    expect(textLine(JSON.stringify({ level: 50, time, msg: 'It failed', err }))).toMatch(
      /It failed: Error: broken {2}| {5}at x\n$/,
    );
  });

  test('says what is for people without where it was thrown', () => {
    const err = {
      type: 'MailProxyError',
      message: 'The disk is full.',
      stack: 'MailProxyError: x\n    at y',
    };
    expect(textLine(JSON.stringify({ level: 50, time, msg: 'It waits', err }))).toMatch(
      /It waits: The disk is full\.\n$/,
    );
  });
});

test('a log writes what its level lets through, as text or as JSON', () => {
  const lines: string[] = [];
  const sink = { write: (line: string) => void lines.push(line) };
  const text = createLog({ level: 'warn', format: 'text', sink });
  text.info('unseen');
  text.error('seen', { err: new Error('why') });
  createLog({ level: 'info', format: 'json', sink }).info('told', { tenant: 'acme' });
  expect(lines).toHaveLength(2);
  expect(lines[0]).toMatch(/ERROR - seen: Error: why/);
  expect(JSON.parse(lines[1] ?? '')).toMatchObject({ level: 30, msg: 'told', tenant: 'acme' });
});

describe('a log file', () => {
  const megabyte = `${'x'.repeat(1024 * 1024 - 1)}\n`;

  test('is readable by its owner only, also when it was there with another mode', () => {
    const path = join(directory, 'daemon.log');
    writeFileSync(path, 'old\n');
    chmodSync(path, 0o644);
    rotatingFile(path).write('new\n');
    expect(readFileSync(path, 'utf8')).toBe('old\nnew\n');
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('is put aside at 20 MiB, and four old ones are kept', () => {
    const path = join(directory, 'daemon.log');
    for (let n = 1; n <= 4; n++) writeFileSync(`${path}.${n}`, `old ${n}\n`);
    const file = rotatingFile(path);
    for (let n = 0; n < 21; n++) file.write(megabyte);
    expect(readdirSync(directory).sort()).toEqual([
      'daemon.log',
      'daemon.log.1',
      'daemon.log.2',
      'daemon.log.3',
      'daemon.log.4',
    ]);
    expect(statSync(`${path}.1`).size).toBe(20 * megabyte.length);
    expect(statSync(path).size).toBe(megabyte.length);
    expect(readFileSync(`${path}.4`, 'utf8')).toBe('old 3\n');
  });

  test('that cannot be put aside is written on: a closed descriptor could be another file by then', () => {
    const path = join(directory, 'daemon.log');
    mkdirSync(`${path}.4`);
    const file = rotatingFile(path);
    for (let n = 0; n < 20; n++) file.write(megabyte);
    const other = join(directory, 'database');
    closing(openSync(other, 'w'), closeSync);
    file.write('a line\n');
    expect(readFileSync(path, 'utf8').endsWith('a line\n')).toBe(true);
    expect(readFileSync(other, 'utf8')).toBe('');
  });
});

import { closeSync, fchmodSync, fstatSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { pino } from 'pino';
import type { LogLevel } from '../config/daemon-config.js';
import type { Log } from '../core/log.js';

/** Takes whole lines. */
export interface LineSink {
  write(line: string): void;
}

const ROTATE_AT = 20 * 1024 * 1024;
const KEPT = 4;

/**
 * A log file that only its owner reads and that never grows for ever: at 20 MiB it becomes `<path>.1`, and four old ones
 * are kept.
 */
export function rotatingFile(path: string): LineSink {
  let fd = -1;
  let size = 0;
  const open = (): void => {
    fd = openSync(path, 'a', 0o600);
    fchmodSync(fd, 0o600);
    size = fstatSync(fd).size;
  };
  const rotate = (): void => {
    // Not until it has worked: written lines must never reach a descriptor that is another file's by now.
    const old = fd;
    size = 0;
    rmSync(`${path}.${KEPT}`, { force: true });
    for (let n = KEPT - 1; n >= 1; n--) moveIfThere(`${path}.${n}`, `${path}.${n + 1}`);
    moveIfThere(path, `${path}.1`);
    open();
    closeSync(old);
  };
  open();
  return {
    write(line) {
      // A full disk must stop neither the mail nor the daemon: what cannot be logged is lost.
      try {
        size += writeSync(fd, line);
        if (size >= ROTATE_AT) rotate();
      } catch {
        return;
      }
    },
  };
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

const LEVEL_NAMES: Record<number, string> = { 20: 'DEBUG', 30: 'INFO', 40: 'WARN', 50: 'ERROR' };

interface Entry {
  level: number;
  time: number;
  msg: string;
  err?: { message?: string; stack?: string; type?: string };
  route?: unknown;
  ms?: unknown;
  token?: unknown;
  address?: unknown;
}

/** One line for people: `2026-11-24T10:00:00.000Z INFO  - … ms=1.5 token=… address=…`, control characters made visible. */
export function textLine(json: string): string {
  const entry = JSON.parse(json) as Entry;
  const level = (LEVEL_NAMES[entry.level] ?? 'INFO').padEnd(5);
  // A failure of the interface is a sentence for people; where it was thrown says nothing.
  const cause =
    entry.err?.type === 'MailProxyError' ? entry.err.message : (entry.err?.stack ?? entry.err?.message);
  const said = `${entry.msg}${fieldsOf(entry)}`;
  const text = cause === undefined ? said : `${said}: ${cause}`;
  return `${new Date(entry.time).toISOString()} ${level} - ${visible(text)}\n`;
}

/** What the message does not say itself: an access line begins with its route, a failure does not. */
function fieldsOf({ route, ms, token, address, err }: Entry): string {
  const fields = { ...(err === undefined ? {} : { route }), ms, token, address };
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${value === null || value === '' ? '-' : String(value)}`)
    .join('');
}

function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => {
    if (c === '\n') return ' | ';
    return `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`;
  });
}

/** The daemon's log in the wanted form. */
export function createLog(options: { level: LogLevel; format: 'text' | 'json'; sink: LineSink }): Log {
  const { level, format, sink } = options;
  const stream = { write: (json: string) => sink.write(format === 'json' ? json : textLine(json)) };
  const logger = pino({ level, base: null }, stream);
  const at =
    (name: LogLevel) =>
    (message: string, fields?: Record<string, unknown>): void => {
      if (fields === undefined) logger[name](message);
      else logger[name](fields, message);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

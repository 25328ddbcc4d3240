import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { stopServer } from '../../src/services/stop-server.js';
import { ended, freePort, processesNaming } from './processes.js';
import { type CliResult, cliEnvironment, PROGRAM, runCli } from './run-cli.js';

/** What a call of the program is given beside its arguments. */
export interface CallOptions {
  env?: Record<string, string>;
  /** All of its stdin. */
  input?: string;
}

/** An answer of the API. */
export interface ApiAnswer {
  status: number;
  json: Record<string, unknown>;
}

/** A home of its own for everything that one test file starts. */
export interface E2eHome {
  readonly home: string;
  /** Runs the program here; a line is split at its spaces. */
  cli(args: string | string[], options?: CallOptions): Promise<CliResult>;
  /** Runs the program with `--json`, requires success and returns what it printed. */
  json<T = Record<string, never>>(args: string | string[], options?: CallOptions): Promise<T>;
  /** Starts `server` on a free port and returns its URL and admin token. */
  start(server: string, options?: CallOptions): Promise<{ url: string; pid: number; token: string }>;
  /** Runs `serve` in the foreground on a free port; resolves when it serves. */
  serve(
    server: string,
    env: Record<string, string>,
    flags?: string[],
  ): Promise<{ url: string; child: ChildProcess }>;
  /** Writes a file outside the servers and returns its path. */
  file(name: string, content: string | Uint8Array): string;
  /** Number of rows of each table of a server. */
  counts(server: string): Record<string, number>;
  /** Stops every daemon that was started here, by its pid, and removes everything. */
  close(): Promise<void>;
}

/** Splits a line of a test at its spaces. */
const words = (args: string | string[]): string[] =>
  typeof args === 'string' ? args.split(' ').filter(Boolean) : args;

/** Sends one request to the API of a daemon. */
export async function callApi(
  url: string,
  token: string | undefined,
  method: string,
  path: string,
  body?: unknown,
): Promise<ApiAnswer> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      ...(token === undefined ? {} : { 'X-API-Token': token }),
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: text }),
  });
  return { status: response.status, json: (await response.json()) as ApiAnswer['json'] };
}

/** Opens an {@link E2eHome}; call `close` in `afterAll`. */
export function openE2eHome(): E2eHome {
  const root = mkdtempSync(join(tmpdir(), 'e2e-'));
  const home = join(root, 'home');
  const children: ChildProcess[] = [];
  const cli: E2eHome['cli'] = (args, { env = {}, input } = {}) =>
    runCli(words(args), { MAIL_PROXY_HOME: home, ...env }, input);
  const json = async <T>(args: string | string[], options?: CallOptions): Promise<T> => {
    const result = await cli([...words(args), '--json'], options);
    if (result.code !== 0) throw new Error(`${words(args).join(' ')} failed: ${result.stderr}`);
    return JSON.parse(result.stdout) as T;
  };
  return {
    home,
    cli,
    json,
    async start(server, options) {
      const args = ['start', server, '--port', String(await freePort())];
      const {
        url,
        pid,
        admin_token: token = '',
      } = await json<{
        url: string;
        pid: number;
        admin_token?: string;
      }>(args, options);
      return { url, pid, token };
    },
    async serve(server, env, flags = []) {
      const port = await freePort();
      const child = spawn(process.execPath, [PROGRAM, 'serve', server, '--port', String(port), ...flags], {
        env: cliEnvironment({ MAIL_PROXY_HOME: home, ...env }),
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      children.push(child);
      let log = '';
      await new Promise<void>((resolve, reject) => {
        child.stderr.setEncoding('utf8').on('data', (text: string) => {
          log += text;
          if (log.includes(' serves http')) resolve();
        });
        child.on('close', () => reject(new Error(`serve ended: ${log}`)));
      });
      return { url: `http://127.0.0.1:${port}`, child };
    },
    file(name, content) {
      const path = join(root, name);
      writeFileSync(path, content, { mode: 0o600 });
      return path;
    },
    counts: (server) => countRows(join(home, server, 'mail_service.db')),
    async close() {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        const ended = once(child, 'close');
        child.kill('SIGKILL');
        await ended;
      }
      for (const server of serversIn(home)) await stopServer(join(home, server), {}, true);
      // A call that hung, and what it started: nothing else has this home in its environment.
      for (const pid of processesNaming(`MAIL_PROXY_HOME=${home}`)) {
        process.kill(pid, 'SIGKILL');
        await ended(pid);
      }
      rmSync(root, { recursive: true, force: true });
    },
  };
}

function serversIn(home: string): string[] {
  try {
    return readdirSync(home, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

const TABLES = ['settings', 'tenants', 'tokens', 'accounts', 'messages', 'recipients'];

function countRows(path: string): Record<string, number> {
  const db = new Database(path, { readonly: true });
  try {
    const count = (table: string): number =>
      db.prepare<[], { n: number }>(`SELECT count(*) AS n FROM ${table}`).get()?.n ?? 0;
    return Object.fromEntries(TABLES.map((table) => [table, count(table)]));
  } finally {
    db.close();
  }
}

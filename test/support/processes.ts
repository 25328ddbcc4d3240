import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Fields of `/proc/<pid>/stat` that tests look at. */
interface ProcessStat {
  /** `R`, `S`, …; `Z` has ended and waits to be reaped. */
  state: string;
  parent: number;
  /** Id of the session; that of a detached process is its own pid. */
  session: number;
}

/** What the kernel says of a process; undefined when there is none. */
export function processStat(pid: number): ProcessStat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name, in brackets, may hold anything: fields are counted after it.
    const [state = '', parent, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return { state, parent: Number(parent), session: Number(session) };
  } catch {
    return undefined;
  }
}

/** Whether a process runs; one that has ended and only waits to be reaped does not. */
export function isAlive(pid: number): boolean {
  const state = processStat(pid)?.state;
  return state !== undefined && state !== 'Z' && state !== 'X';
}

/** Command line and environment of a process as one text each; empty when they cannot be read. */
export function processTexts(pid: number): { command: string; environment: string } {
  const read = (name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'utf8');
    } catch {
      return '';
    }
  };
  return { command: read('cmdline'), environment: read('environ') };
}

/** Processes that run with `text` in their command line or environment, such as the path of a test's own directory. */
export function processesNaming(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== process.pid && isAlive(pid))
    .filter((pid) => {
      const { command, environment } = processTexts(pid);
      return command.includes(text) || environment.includes(text);
    });
}

/** Resolves once `condition` holds. For what gives no event, such as the end of a process that is not a child. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 30_000,
): Promise<void> {
  const giveUpAt = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > giveUpAt) throw new Error(`Waited ${withinMs} ms in vain until ${what}`);
    await sleep(20);
  }
}

/** Resolves once a process has ended. */
export const ended = (pid: number): Promise<void> => until(() => !isAlive(pid), `process ${pid} ends`);

/** A port of the loopback address that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return address.port;
}

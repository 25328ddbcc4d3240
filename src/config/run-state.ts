import { readFileSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** What a daemon says of itself while it runs. The lock decides whether it is true; this says where it is. */
export interface RunState {
  pid: number;
  /** Names the process beyond its pid, which the system gives out again: start time and pid namespace. */
  processIdentity: string;
  /** The lock that it holds: where it is, whatever a later caller's environment says of the database. */
  lock: string;
  host: string;
  port: number;
  url: string;
  version: string;
  startedAt: number;
}

/**
 * What tells a process from a later one with the same pid, and from one with the same pid in another container.
 * Empty where the system does not say.
 */
export function processIdentity(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The command name may hold spaces and brackets: fields are counted after its closing one, the state first (field 3).
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    // One that has ended and was not waited for yet is no process any more.
    if (fields[0] === 'Z' || fields[0] === 'X') return '';
    const startTicks = fields[19] ?? '';
    return `${startTicks}@${readlinkSync(`/proc/${pid}/ns/pid`)}`;
  } catch {
    return '';
  }
}

/** Whether the process that wrote the state still runs: pids are given out again, identities are not. */
export function isAlive(state: RunState): boolean {
  return state.processIdentity !== '' && processIdentity(state.pid) === state.processIdentity;
}

/** Writes the state in one step, readable by the owner only. */
export function writeRunState(path: string, state: RunState): void {
  const temporary = `${path}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(state)}\n`, { mode: 0o600 });
  renameSync(temporary, path);
}

/** Reads the state; undefined when there is none or it cannot be understood. */
export function readRunState(path: string): RunState | undefined {
  try {
    const state = JSON.parse(readFileSync(path, 'utf8')) as RunState;
    return Number.isInteger(state.pid) && state.pid > 0 && typeof state.url === 'string' ? state : undefined;
  } catch {
    return undefined;
  }
}

/** Removes the state if it is still the one of that daemon: another may have started meanwhile. */
export function removeRunStateOf(path: string, { pid, startedAt }: RunState): void {
  const present = readRunState(path);
  if (present?.pid === pid && present.startedAt === startedAt) removeRunState(path);
}

/** Removes the state. */
export function removeRunState(path: string): void {
  rmSync(path, { force: true });
}

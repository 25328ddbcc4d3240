import { isAlive, type RunState, readRunState } from '../config/run-state.js';
import { serverPaths } from '../config/server-paths.js';
import { isServerLocked } from '../store/server-lock.js';

/** What is known of a server's daemon from outside. The lock decides, not the pid. */
export interface ServerStatus {
  server: string;
  /** `stale`: a run state was left behind by a daemon that was killed. */
  state: 'running' | 'stopped' | 'stale';
  pid: number | null;
  host: string | null;
  port: number | null;
  url: string | null;
  version: string | null;
  uptime_seconds: number | null;
}

/** Finds out whether a server's daemon runs. */
export function serverStatus(
  server: string,
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
  now: number,
): ServerStatus {
  const paths = serverPaths(directory, env);
  const state = readRunState(paths.runState);
  const isHeld = isServerLocked(paths.lock) || isServerLocked(state?.lock ?? paths.lock);
  // A daemon whose files were removed under it holds no lock that anybody could see.
  if (isHeld || (state !== undefined && isAlive(state)))
    return { server, state: 'running', ...told(state, now) };
  return { ...stoppedStatus(server), state: state === undefined ? 'stopped' : 'stale' };
}

/** A server of whose daemon nothing is known. */
export function stoppedStatus(server: string): ServerStatus {
  const nothing = { pid: null, host: null, port: null, url: null, version: null, uptime_seconds: null };
  return { server, state: 'stopped', ...nothing };
}

function told(state: RunState | undefined, now: number) {
  return {
    pid: state?.pid ?? null,
    host: state?.host ?? null,
    port: state?.port ?? null,
    url: state?.url ?? null,
    version: state?.version ?? null,
    uptime_seconds: state === undefined ? null : Math.max(0, Math.floor((now - state.startedAt) / 1000)),
  };
}

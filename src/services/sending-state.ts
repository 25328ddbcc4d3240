import { readRunState } from '../config/run-state.js';
import { serverPaths } from '../config/server-paths.js';
import type { SendingState } from '../core/hold.js';
import { serverStatus } from './server-status.js';

/** Finds out from outside whether anything of a server is sent. */
export function sendingState(
  server: string,
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
  now: number,
): SendingState {
  if (serverStatus(server, directory, env, now).state !== 'running') return 'stopped';
  const state = readRunState(serverPaths(directory, env).runState);
  return state?.schedulerActive === false ? 'inactive' : 'active';
}

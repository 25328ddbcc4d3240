import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, readRunState, removeRunStateOf } from '../config/run-state.js';
import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import { isServerLocked } from '../store/server-lock.js';

/** Longer than a daemon takes at most to let what is being sent finish. */
const STOP_TIMEOUT_MS = 40_000;
const LOOK_EVERY_MS = 25;

/**
 * Stops a server's daemon and waits until it is gone.
 *
 * @param force - Ends it at once: what was being sent is recovered by the next start.
 * @returns False when none was running; a stale run state is cleared then.
 * @throws MailProxyError `daemon_running` when it cannot be reached or does not stop.
 */
export async function stopServer(
  directory: string,
  env: Readonly<Record<string, string | undefined>>,
  force: boolean,
): Promise<boolean> {
  const paths = serverPaths(directory, env);
  const state = readRunState(paths.runState);
  const lock = state?.lock ?? paths.lock;
  if (!isServerLocked(lock) && !(state !== undefined && isAlive(state))) {
    if (state !== undefined) removeRunStateOf(paths.runState, state);
    return false;
  }
  if (state === undefined || !isAlive(state)) {
    throw new MailProxyError(
      'daemon_running',
      'A daemon holds this server but does not say which process it is: stop it where it was started, or find it by its command line, "serve" and the name of the server.',
    );
  }
  signal(state.pid, force ? 'SIGKILL' : 'SIGTERM');
  const giveUpAt = Date.now() + STOP_TIMEOUT_MS;
  while (isServerLocked(lock) || isAlive(state)) {
    if (Date.now() > giveUpAt) {
      throw new MailProxyError('daemon_running', `The daemon (pid ${state.pid}) does not stop: use --force.`);
    }
    await sleep(LOOK_EVERY_MS);
  }
  removeRunStateOf(paths.runState, state);
  return true;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ESRCH') return;
    throw new MailProxyError(
      'daemon_running',
      `The daemon (pid ${pid}) cannot be stopped (${code}): it belongs to another user.`,
    );
  }
}

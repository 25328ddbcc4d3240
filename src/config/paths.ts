import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

const SERVER_NAME = /^[a-z0-9][a-z0-9_-]{0,63}$/;

/** Whether `name` has the form of a server name: `[a-z0-9][a-z0-9_-]{0,63}`. Reserved words are not looked at. */
export function isServerName(name: string): boolean {
  return SERVER_NAME.test(name);
}

/** The directory that holds every server of this user: `MAIL_PROXY_HOME`, or `~/.mail-proxy`; always absolute. */
export function homeDirectory(env: NodeJS.ProcessEnv): string {
  return env.MAIL_PROXY_HOME ? resolve(env.MAIL_PROXY_HOME) : join(homedir(), '.mail-proxy');
}

/**
 * The directory of one server inside `home`.
 *
 * @throws RangeError when `name` is no server name, so that no name can ever lead out of `home`.
 */
export function serverDirectory(home: string, name: string): string {
  if (!isServerName(name)) throw new RangeError('serverDirectory needs a name that passed isServerName');
  return join(home, name);
}

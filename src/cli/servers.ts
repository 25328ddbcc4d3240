import { readdirSync, statSync } from 'node:fs';
import { isServerName, serverDirectory } from '../config/paths.js';
import { MailProxyError } from '../core/errors.js';
import { closest } from './did-you-mean.js';
import { RESERVED_WORDS } from './vocabulary.js';

/** A server by name and place; the directory need not exist. */
export interface ServerReference {
  name: string;
  directory: string;
}

/** Whether a server of that name has a directory in `home`. */
export function serverExists(home: string, name: string): boolean {
  if (!isServerName(name) || RESERVED_WORDS.has(name)) return false;
  return statSync(serverDirectory(home, name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Names of the servers in `home`, sorted; none when `home` does not exist or cannot be read. */
export function listServerNames(home: string): string[] {
  try {
    return readdirSync(home)
      .filter((name) => serverExists(home, name))
      .sort();
  } catch {
    return [];
  }
}

/**
 * Refuses a server that is not there, and names the one that was probably meant.
 *
 * @throws MailProxyError `server_not_found`.
 */
export function requireServer(home: string, name: string): ServerReference {
  if (serverExists(home, name)) return { name, directory: serverDirectory(home, name) };
  const meant = closest(name, listServerNames(home));
  throw new MailProxyError(
    'server_not_found',
    meant === undefined
      ? `There is no server \`${name}\`: \`mail-proxy start ${name}\` creates it.`
      : `There is no server \`${name}\`. Did you mean \`${meant}\`?`,
  );
}

/**
 * Refuses a name that no server may take.
 *
 * @throws MailProxyError `usage`.
 */
export function requireNewName(name: string): void {
  if (isServerName(name) && !RESERVED_WORDS.has(name)) return;
  throw new MailProxyError(
    'usage',
    RESERVED_WORDS.has(name)
      ? `\`${name}\` is a word of the command line and cannot name a server: choose another name.`
      : 'A server name is 1 to 64 lower-case letters, digits, dashes or underscores, beginning with a letter or digit.',
  );
}

import { isServerName } from '../config/paths.js';
import { isId } from '../core/ids.js';
import { closest } from './did-you-mean.js';
import type { GivenScope } from './scope-flags.js';
import { COMMANDS, RESERVED_WORDS, scopesOf } from './vocabulary.js';

/** Why a call cannot be handed on: shown to the user as it stands. */
export interface RoutingProblem {
  code: 'unknown_command' | 'usage';
  message: string;
}

/** Commands that may name a server which does not exist yet. */
const CREATING = new Set(['start', 'serve', 'restore']);

/** Refuses a first word that can be no server, or is a slip of a command and no server that is there. */
export function serverProblem(
  server: string | undefined,
  command: string | undefined,
  exists: (name: string) => boolean,
): RoutingProblem | undefined {
  if (server === undefined) return undefined;
  if (!isServerName(server)) return unknown(server, 'command or server');
  if (exists(server) || (command !== undefined && CREATING.has(command))) return undefined;
  return closest(server, RESERVED_WORDS) === undefined ? undefined : unknown(server, 'command or server');
}

/** A second word that is a slip of a topic is only a tenant when the command after it can be about one. */
export function tenantProblem(
  tenant: string | undefined,
  command: string | undefined,
  action: string | undefined,
): RoutingProblem | undefined {
  if (tenant === undefined) return undefined;
  if (!isId(tenant)) return unknown(tenant, 'command');
  if (command === undefined || scopesOf(command).includes('tenant')) return undefined;
  const meant = closest(tenant, RESERVED_WORDS);
  if (meant === undefined) return undefined;
  if (!RESERVED_WORDS.has(command)) return unknown(tenant, 'command', meant);
  const whole = `${meant} ${command}`;
  return COMMANDS.has(whole) || (action === undefined && COMMANDS.has(meant))
    ? unknown(tenant, 'command', whole)
    : undefined;
}

/** Refuses a scope that words and flags name differently. */
export function conflict(words: readonly string[], flags: GivenScope): RoutingProblem | undefined {
  const [server, tenant] = words;
  if (server !== undefined && flags.server !== undefined && flags.server !== server) {
    return {
      code: 'usage',
      message: 'The server is named twice, by a word and by --server: leave one of them out.',
    };
  }
  if (tenant !== undefined && flags.tenant !== undefined && flags.tenant !== tenant) {
    return {
      code: 'usage',
      message: 'The tenant is named twice, by a word and by --tenant: leave one of them out.',
    };
  }
  return undefined;
}

/** The problem of a word that is no command; `what` names what it could have been at its place. */
export function unknown(
  word: string,
  what: 'command' | 'command or server',
  meant: string | undefined = closest(word, RESERVED_WORDS),
): RoutingProblem {
  const hint =
    meant === undefined
      ? 'A server or tenant is followed by a command; `mail-proxy help` lists them.'
      : `Did you mean \`${meant}\`?`;
  return { code: 'unknown_command', message: `There is no ${what} \`${printable(word)}\`. ${hint}` };
}

function printable(word: string): string {
  const plain = word.replace(/[^\x20-\x7e]/g, '?');
  return plain.length > 64 ? `${plain.slice(0, 61)}...` : plain;
}

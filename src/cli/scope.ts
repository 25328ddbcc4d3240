import { isServerName } from '../config/paths.js';
import { MailProxyError } from '../core/errors.js';
import { isId } from '../core/ids.js';
import type { Remembered } from './current.js';
import { RESERVED_WORDS } from './vocabulary.js';

/** Where a server or tenant was named. */
type ScopeSource = 'argument' | 'flag' | 'environment' | 'remembered';

/** A name and where it came from. */
export interface Chosen {
  name: string;
  source: ScopeSource;
}

/** Everything that can name a server or a tenant, strongest first. Empty strings count as absent. */
export interface ScopeCandidates {
  argument?: string | undefined;
  flag?: string | undefined;
  environment?: string | undefined;
  remembered?: string | undefined;
}

/**
 * The server a call is about, or undefined when nothing names one.
 *
 * @throws MailProxyError `usage` when argument and flag differ, or the name is malformed or reserved.
 */
export function chooseServer(candidates: ScopeCandidates): Chosen | undefined {
  const chosen = strongest(candidates, 'server');
  if (chosen === undefined) return undefined;
  if (!isServerName(chosen.name)) {
    throw new MailProxyError(
      'usage',
      'A server name has 1 to 64 of the characters a-z, 0-9, _ and -, and begins with a letter or digit.',
    );
  }
  if (RESERVED_WORDS.has(chosen.name)) {
    throw new MailProxyError('usage', `\`${chosen.name}\` is a command and cannot be the name of a server.`);
  }
  return chosen;
}

/**
 * The tenant a call is about, or undefined when nothing names one. A remembered tenant counts only for the
 * server it was remembered with: elsewhere the same id is another customer.
 *
 * @throws MailProxyError `usage` when argument and flag differ, or the id is malformed.
 */
export function chooseTenant(
  candidates: ScopeCandidates,
  server: string,
  state: Remembered,
): Chosen | undefined {
  const remembered = state.server === server ? state.tenant : undefined;
  const chosen = strongest({ ...candidates, remembered }, 'tenant');
  if (chosen !== undefined && !isId(chosen.name)) {
    throw new MailProxyError(
      'usage',
      'A tenant id has 1 to 64 of the characters A-Z, a-z, 0-9, ., _ and -, and begins with a letter or digit.',
    );
  }
  return chosen;
}

function strongest(candidates: ScopeCandidates, what: string): Chosen | undefined {
  const { argument, flag, environment, remembered } = candidates;
  if (argument && flag && argument !== flag) {
    throw new MailProxyError('usage', `The ${what} is named twice and differently: name it once.`);
  }
  if (argument) return { name: argument, source: 'argument' };
  if (flag) return { name: flag, source: 'flag' };
  if (environment) return { name: environment, source: 'environment' };
  return remembered ? { name: remembered, source: 'remembered' } : undefined;
}

import { readFileSync } from 'node:fs';
import { homeDirectory } from '../config/paths.js';
import { isFlag, scopeGiven, takesNextWord } from './scope-flags.js';
import { listServerNames } from './servers.js';
import { RESERVED_WORDS, type Scope, scopesOf } from './vocabulary.js';

/** What completion reads of a command in `oclif.manifest.json`. */
interface ManifestCommand {
  hidden?: boolean;
  flags?: Record<
    string,
    { type: string; char?: string; hidden?: boolean; options?: string[]; allowNo?: boolean }
  >;
  args?: Record<string, unknown>;
}

/** Kinds of names that only the store knows. */
type NameKind = 'tenant' | 'account';

/** Where candidates come from. */
export interface CompletionSources {
  /** Commands by id, its words joined by `:`. */
  commands: Record<string, ManifestCommand>;
  servers: readonly string[];
  /** Names of tenants or accounts; nothing is offered for them when left out. */
  names?: (kind: NameKind, scope: { server?: string; tenant?: string }) => readonly string[];
}

/**
 * Candidates for the last of `words`, which may be empty or incomplete; `words` are the arguments after the
 * program's name. Sorted, and only those that begin with it.
 */
export function complete(words: readonly string[], sources: CompletionSources): string[] {
  const typed = words.at(-1) ?? '';
  const before = words.slice(0, -1);
  const previous = before.at(-1);
  const { positions, scope } = readScope(before);
  const call = { ...sources, typed, scope };
  if (previous !== undefined && takesNextWord(previous)) {
    return matching(
      typed,
      previous === '-s' || previous === '--server' ? sources.servers : names(call, 'tenant'),
    );
  }
  const found = findCommand(positions, sources.commands);
  if (previous?.startsWith('--') && found) {
    const flag = found.command.flags?.[previous.slice(2)];
    if (previous === '--account') return matching(typed, names(call, 'account'));
    if (flag?.type === 'option') return matching(typed, flag.options ?? []);
  }
  if (isFlag(typed)) return matching(typed, flagsOf(found?.command));
  return matching(typed, nextWords(positions, found, call));
}

type Call = CompletionSources & { typed: string; scope: { server?: string; tenant?: string } };

function nextWords(positions: string[], found: ReturnType<typeof findCommand>, call: Call): string[] {
  if (found) {
    const takesServer = found.command.args && Object.keys(found.command.args)[0] === 'server';
    return takesServer && found.rest === 0 && call.scope.server === undefined ? [...call.servers] : [];
  }
  const { server, tenant } = call.scope;
  const scope = tenant !== undefined ? 'tenant' : server !== undefined ? 'server' : 'root';
  const visible = Object.keys(call.commands).filter((id) => !call.commands[id]?.hidden && fitsIn(id, scope));
  const prefix = positions.length === 0 ? '' : `${positions.join(':')}:`;
  const actions = visible
    .filter((id) => id.startsWith(prefix))
    .map((id) => id.slice(prefix.length).split(':')[0] as string);
  if (positions.length > 0) return actions;
  if (server === undefined) return [...actions, 'help', ...call.servers];
  return tenant === undefined ? [...actions, ...names(call, 'tenant')] : actions;
}

/** Whether a command can follow a scope: the global ones follow none, and only those about a tenant follow one. */
function fitsIn(id: string, scope: Scope): boolean {
  const scopes = scopesOf(id.replaceAll(':', ' '));
  return scope === 'root' || scopes.includes('tenant') || (scope === 'server' && scopes.includes('server'));
}

/** Takes the scope words and flags away; what is left are the words of the command and its arguments. */
function readScope(before: readonly string[]): { positions: string[]; scope: Call['scope'] } {
  const positions: string[] = [];
  const scope: Call['scope'] = { ...scopeGiven(before) };
  let scopeWords = 0;
  for (let i = 0; i < before.length; i++) {
    const word = before[i] as string;
    if (takesNextWord(word)) i += 1;
    else if (isFlag(word) || (word === 'help' && positions.length === 0)) continue;
    else if (positions.length > 0 || RESERVED_WORDS.has(word) || scopeWords === 2) positions.push(word);
    else {
      scope[scopeWords === 0 ? 'server' : 'tenant'] = word;
      scopeWords += 1;
    }
  }
  return { positions, scope };
}

function findCommand(positions: string[], commands: Record<string, ManifestCommand>) {
  for (let length = Math.min(2, positions.length); length > 0; length--) {
    const command = commands[positions.slice(0, length).join(':')];
    if (command) return { command, rest: positions.length - length };
  }
  return undefined;
}

function flagsOf(command: ManifestCommand | undefined): string[] {
  const flags = ['--help'];
  for (const [name, flag] of Object.entries(command?.flags ?? {})) {
    if (flag.hidden) continue;
    flags.push(`--${name}`);
    if (flag.allowNo) flags.push(`--no-${name}`);
  }
  return flags;
}

function names(call: Call, kind: NameKind): readonly string[] {
  return call.names?.(kind, call.scope) ?? [];
}

function matching(typed: string, candidates: readonly string[]): string[] {
  return [...new Set(candidates)].filter((each) => each.startsWith(typed)).sort();
}

/** Answers `mail-proxy __complete -- <words…>`: one candidate a line. A missing manifest offers nothing. */
export function answerCompletion(
  words: readonly string[],
  manifest: URL,
  names?: CompletionSources['names'],
): void {
  let commands: Record<string, ManifestCommand> = {};
  try {
    commands = (JSON.parse(readFileSync(manifest, 'utf8')) as { commands: typeof commands }).commands;
  } catch {
    // Completion never disturbs the line that is being typed.
  }
  const servers = listServerNames(homeDirectory(process.env));
  const found = complete(words, names ? { commands, servers, names } : { commands, servers });
  process.stdout.write(found.map((each) => `${each}\n`).join(''));
}

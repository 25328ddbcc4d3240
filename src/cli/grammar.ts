import { conflict, type RoutingProblem, serverProblem, tenantProblem, unknown } from './routing-problems.js';
import { type GivenScope, isFlag, scopeGiven, takesNextWord } from './scope-flags.js';
import { COMMANDS, RESERVED_WORDS } from './vocabulary.js';

/** A call as oclif takes it (`accounts list --server s --tenant t …`), and the scope that was named in it. */
export interface RoutedCall extends GivenScope {
  argv: string[];
  problem?: RoutingProblem;
}

/**
 * Turns `[<server> [<tenant>]] <command> …` into an ordinary oclif call. If the first word is no command or
 * topic it is the server; if the next is none either, it is the tenant. Flags may stand before the command:
 * they are moved behind it. Everything after the command's own words is left as it is.
 *
 * @param argv - The arguments after the program's name.
 * @param serverExists - Tells whether a server of that name is there; decides between a server and a slip.
 */
export function routeArgv(argv: readonly string[], serverExists: (name: string) => boolean): RoutedCall {
  const { flags, words, rest } = splitCall(argv);
  const [server, tenant] = words;
  const command = rest[0] === undefined || isFlag(rest[0]) ? undefined : rest[0];

  if (command === 'help') return routeHelp([...words, ...rest.slice(1)], flags, serverExists);
  if (flags.includes('--version')) return { argv: ['version'] };

  const call = build(flags, words, rest);
  const problem =
    serverProblem(server, command, serverExists) ??
    tenantProblem(tenant, command, rest[1]) ??
    conflict(words, scopeGiven([...flags, ...rest]));
  if (problem) return { ...call, problem };

  if (command !== undefined) {
    return RESERVED_WORDS.has(command) ? call : { ...call, problem: unknown(command, 'command') };
  }
  if (server === undefined || wantsHelp([...flags, ...rest])) return call;
  if (!serverExists(server)) return { ...call, problem: unknown(server, 'command or server') };
  // A server alone asks what can be done with it; a second word alone is taken for the command it should be.
  return tenant === undefined
    ? { ...call, argv: [...call.argv, '--help'] }
    : { ...call, problem: unknown(tenant, 'command') };
}

/** `help …` is the call with `--help`; unlike there, its only word has to be something that exists. */
function routeHelp(words: string[], flags: string[], serverExists: (name: string) => boolean): RoutedCall {
  const call = routeArgv([...flags, '--help', ...words], serverExists);
  const [subject] = words.filter((word) => !isFlag(word));
  const scopeOnly = call.argv[0] !== undefined && isFlag(call.argv[0]);
  if (call.problem || !scopeOnly || subject === undefined || serverExists(subject)) return call;
  return RESERVED_WORDS.has(subject) ? call : { ...call, problem: unknown(subject, 'command or server') };
}

/** Takes apart the flags and up to two scope words that stand before the command. */
function splitCall(argv: readonly string[]): { flags: string[]; words: string[]; rest: string[] } {
  const flags: string[] = [];
  const words: string[] = [];
  let i = 0;
  while (i < argv.length) {
    const arg = argv[i] as string;
    if (arg === '--') break;
    if (isFlag(arg)) {
      flags.push(...argv.slice(i, i + (takesNextWord(arg) ? 2 : 1)));
      i += takesNextWord(arg) ? 2 : 1;
    } else if (RESERVED_WORDS.has(arg) || words.length === 2) {
      break;
    } else {
      words.push(arg);
      i += 1;
    }
  }
  return { flags, words, rest: argv.slice(i) };
}

/** The call with the command first, then the scope the words named, then everything else in its order. */
function build(flags: string[], words: string[], rest: string[]): RoutedCall {
  const [server, tenant] = words;
  const filledIn = [
    ...(server === undefined ? [] : ['--server', server]),
    ...(tenant === undefined ? [] : ['--tenant', tenant]),
  ];
  const [command, tail, between] = commandWords(rest);
  const given = scopeGiven([...flags, ...between, ...tail]);
  const scope: GivenScope = {};
  if (server ?? given.server) scope.server = server ?? (given.server as string);
  if (tenant ?? given.tenant) scope.tenant = tenant ?? (given.tenant as string);
  return { argv: [...command, ...filledIn, ...flags, ...between, ...tail], ...scope };
}

/** The words of the command, what follows them, and flags that stood between a topic and its action. */
function commandWords(rest: string[]): [command: string[], tail: string[], between: string[]] {
  const [first, ...others] = rest;
  if (first === undefined || isFlag(first)) return [[], rest, []];
  if (COMMANDS.has(first) || !RESERVED_WORDS.has(first)) return [[first], others, []];
  let i = 0;
  while (i < others.length && others[i] !== '--' && isFlag(others[i] as string)) {
    i += takesNextWord(others[i] as string) ? 2 : 1;
  }
  const action = others[i];
  if (action === undefined || action === '--') return [[first], others, []];
  return [[first, action], others.slice(i + 1), others.slice(0, i)];
}

function wantsHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end === -1 ? args : args.slice(0, end)).some((arg) => arg === '--help' || arg === '-h');
}

import { run } from '@oclif/core/run';
import { homeDirectory } from '../config/paths.js';
import { MailProxyError } from '../core/errors.js';
import { routeArgv } from './grammar.js';
import { isFlag, jsonRequested } from './scope-flags.js';
import { serverExists } from './servers.js';
import { COMMANDS } from './vocabulary.js';

/**
 * Runs one call: routes the scoped arguments, hands over to oclif, and reports what goes wrong. oclif's `run` is
 * used and not its `execute`, whose error handler prints stacks and help pages and ends with codes of its own.
 *
 * @param argv - The arguments after the program's name.
 * @param location - `import.meta.url` of the program, from which oclif finds `package.json` and the manifest.
 */
export async function main(argv: string[], location: string): Promise<void> {
  process.stderr.on('error', () => undefined);
  const home = homeDirectory(process.env);
  let routed = argv;
  try {
    const call = routeArgv(argv, (name) => serverExists(home, name));
    routed = call.argv;
    if (call.problem) throw new MailProxyError(call.problem.code, call.problem.message);
    // oclif reads process.argv again for deprecation warnings and help: it must see the same call.
    process.argv.splice(2, process.argv.length, ...routed);
    endWithReader(routed[0]);
    await run(routed, location);
  } catch (error) {
    // Loaded only now: a call that goes well does not pay for it.
    const { reportFailure } = await import('./report.js');
    process.exit(reportFailure(error, commandLabel(routed), jsonRequested(argv)));
  }
}

/**
 * A reader that went away (`| head`) ends the call, quietly and without failure: what follows a log would
 * otherwise go on for nobody. Only a daemon outlives whoever reads its log.
 */
function endWithReader(command: string | undefined): void {
  if (command === 'serve' || command === 'start') return;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
  });
}

/** Words of the command in a routed call: what stands before its first flag, two at most. */
function commandLabel(argv: readonly string[]): string {
  const end = argv.findIndex(isFlag);
  const words = (end === -1 ? argv : argv.slice(0, end)).slice(0, 2);
  const [first, second] = words;
  if (first === undefined) return '';
  return second !== undefined && COMMANDS.has(`${first} ${second}`) ? `${first} ${second}` : first;
}

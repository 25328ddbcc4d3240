import { ERROR_CODES, type FieldIssue, MailProxyError } from '../core/errors.js';
import { closest } from './did-you-mean.js';

/** A failure as it is shown: on stderr, in the JSON envelope and as the exit code. */
export interface Failure {
  message: string;
  code: string;
  exitCode: number;
  issues?: FieldIssue[];
  /** Nothing is printed: the command has said what there was to say. */
  quiet?: boolean;
}

/** What oclif's parser attaches to its errors; only the parts read here. */
interface OclifError extends Error {
  oclif?: { exit?: number };
  parse?: { input?: { flags?: Record<string, unknown> } };
  flags?: unknown;
  args?: unknown;
}

/**
 * Turns whatever was thrown into one sentence, a code and an exit code. Values from the command line are not
 * repeated: a word that stands in the wrong place may be half of a password.
 */
export function describeFailure(error: unknown, commandLabel: string): Failure {
  if (error instanceof MailProxyError) {
    const { message, code, exitCode, issues } = error;
    return issues ? { message, code, exitCode, issues } : { message, code, exitCode };
  }
  if (!(error instanceof Error)) return internal('something that is no error was thrown');
  if (error.name === 'ExitPromptError' || error.name === 'AbortPromptError') {
    return {
      message: 'Cancelled; nothing was changed.',
      code: 'cancelled',
      exitCode: ERROR_CODES.cancelled.exit,
    };
  }
  const code = 'code' in error ? error.code : undefined;
  if (code === 'EPIPE') return { message: '', code: 'internal', exitCode: 0, quiet: true };
  const exit = (error as OclifError).oclif?.exit;
  if (code === 'EEXIT') return { message: '', code: 'internal', exitCode: exit ?? 1, quiet: true };
  if (error.name === 'ModuleLoadError' || (exit === undefined && !isParseFailure(error))) {
    return internal(firstLine(error.message));
  }
  return { message: usageSentence(error as OclifError, commandLabel), code: 'usage', exitCode: 2 };
}

/** Flag parsers may throw plain errors, which oclif only marks in their message. */
function isParseFailure(error: Error): boolean {
  return 'parse' in error || error.message.includes('See more help with --help');
}

function usageSentence(error: OclifError, label: string): string {
  const hint = `\`mail-proxy ${label ? `${label} ` : ''}--help\` shows the usage.`;
  if (isStringArray(error.flags)) return `${unknownFlag(error.flags[0] as string, error, label)} ${hint}`;
  if (error.message.startsWith('Unexpected argument'))
    return `There are more arguments than it takes. ${hint}`;
  if (error.message.startsWith('Missing') && Array.isArray(error.args)) {
    return `Missing: ${error.args.map((arg: { name?: string }) => `<${arg.name ?? 'argument'}>`).join(', ')}. ${hint}`;
  }
  const oneLine = error.message.replace(/\n?See more help with --help/g, '').replace(/\s*\n\s*/g, ' ');
  const sentence = firstLine(
    oneLine.replace(/^The following errors? occurred:\s*/, '').replace(/^Parsing (--\S+) /, '$1: '),
  );
  return `${sentence}${/[.!?]$/.test(sentence) ? '' : '.'} ${hint}`;
}

function unknownFlag(input: string, error: OclifError, label: string): string {
  const flag = input.startsWith('--') ? (input.split('=')[0] as string) : input.slice(0, 2);
  if (flag === '--server' || flag === '-s')
    return `\`${label}\` is not about one server: leave the server out.`;
  if (flag === '--tenant' || flag === '-t')
    return `\`${label}\` is not about one tenant: leave the tenant out.`;
  const known = Object.keys(error.parse?.input?.flags ?? {}).map((name) => `--${name}`);
  const meant = flag.startsWith('--') ? closest(flag, known) : undefined;
  return `There is no flag ${firstLine(flag)}${meant ? `; did you mean ${meant}?` : '.'}`;
}

function isStringArray(value: unknown): value is string[] {
  return Array.isArray(value) && typeof value[0] === 'string';
}

function internal(detail: string): Failure {
  return {
    message: `An unexpected failure: ${detail}`,
    code: 'internal',
    exitCode: ERROR_CODES.internal.exit,
  };
}

/** First line of a message, so that neither a stack nor a dump follows it. */
function firstLine(text: string): string {
  return (text.split('\n')[0] ?? '').trim();
}

import { writeSync } from 'node:fs';
import { describeFailure } from './failure.js';
import { escapeControl, paint } from './output.js';

/**
 * Reports what a call ended with: one sentence on stderr, with `--json` the envelope on stdout as well, and the
 * stack only when `DEBUG` asks for it.
 *
 * @param label - The words of the command, for hints.
 * @returns The exit code.
 */
export function reportFailure(error: unknown, label: string, json: boolean): number {
  const { message, code, exitCode, issues, quiet } = describeFailure(error, label);
  if (quiet) return exitCode;
  process.stderr.write(`${paint('red', 'Error:', process.stderr)} ${escapeControl(message)}\n`);
  // The sentence names the first issue already.
  for (const issue of issues?.slice(1) ?? [])
    process.stderr.write(`  ${escapeControl(`${issue.path}: ${issue.message}`)}\n`);
  if (process.env.DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  if (json) {
    try {
      writeSync(1, `${JSON.stringify({ ok: false, error: message, code, ...(issues ? { issues } : {}) })}\n`);
    } catch {
      // Nobody reads stdout any more; the exit code still tells.
    }
  }
  return exitCode;
}

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Path of the built program. */
export const PROGRAM = fileURLToPath(new URL('../../bin/run.js', import.meta.url));

/** What one call of the program did. */
export interface CliResult {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** The environment without anything that would steer the program, plus `extra`. */
export function cliEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(
    ([name]) => !/^(MAIL_PROXY_|GMP_|NODE_ENV$|DEBUG$|FORCE_COLOR$|NO_COLOR$)/.test(name),
  );
  return { ...Object.fromEntries(inherited), ...extra };
}

/** Runs the built program to its end; `input` is all of its stdin. */
export function runCli(args: string[], env: Record<string, string> = {}, input = ''): Promise<CliResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [PROGRAM, ...args], { env: cliEnvironment(env) });
    const result: CliResult = { code: null, stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      result.stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      result.stderr += text;
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ ...result, code }));
    child.stdin.on('error', () => undefined).end(input);
  });
}

import { spawn } from 'node:child_process';
import { cliEnvironment, PROGRAM } from './run-cli.js';

/** What a call on a terminal did: all that the terminal showed, echo included. */
export interface TerminalResult {
  code: number | null;
  screen: string;
}

const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Runs the built program with a pseudo-terminal (util-linux `script`) for stdin, stdout and stderr. Each step of the dialogue
 * waits until the screen shows its first text and then types the second.
 */
export function runOnTerminal(
  args: string[],
  env: Record<string, string>,
  dialogue: ReadonlyArray<[shown: string, typed: string]>,
): Promise<TerminalResult> {
  const command = [process.execPath, PROGRAM, ...args].map(quote).join(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(
      'script',
      ['--quiet', '--return', '--echo', 'never', '--command', command, '/dev/null'],
      {
        env: cliEnvironment({ ...env, TERM: 'xterm', NO_COLOR: '1' }),
        stdio: ['pipe', 'pipe', 'inherit'],
      },
    );
    let screen = '';
    let seen = 0;
    const steps = [...dialogue];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      screen += text;
      const [shown, typed] = steps[0] ?? [];
      if (shown === undefined || typed === undefined || !screen.slice(seen).includes(shown)) return;
      seen = screen.length;
      steps.shift();
      child.stdin.write(typed);
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, screen }));
  });
}

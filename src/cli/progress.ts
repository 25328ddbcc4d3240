import { paint } from './output.js';

/** Progress of long work, on stderr. */
export interface Progress {
  update(done: number, total: number): void;
  /** Clears the bar, or says nothing more. */
  end(): void;
}

const WIDTH = 30;
const LINE_EVERY_MS = 2000;

/** A bar on a terminal, a line now and then otherwise, and nothing when `silent`. */
export function createProgress(title: string, silent: boolean): Progress {
  if (silent) return { update: () => undefined, end: () => undefined };
  const isTerminal = process.stderr.isTTY === true;
  let shown = false;
  let last = 0;
  return {
    update(done, total) {
      if (total === 0) return;
      if (isTerminal) {
        shown = true;
        const filled = Math.round((WIDTH * Math.min(done, total)) / total);
        const bar = paint('green', '█'.repeat(filled), process.stderr) + '░'.repeat(WIDTH - filled);
        process.stderr.write(`\r${title} ${bar} ${done}/${total}`);
      } else if (Date.now() - last >= LINE_EVERY_MS) {
        last = Date.now();
        process.stderr.write(`${title}: ${done} of ${total}\n`);
      }
    },
    end() {
      if (shown) process.stderr.write('\r\u001b[K');
    },
  };
}

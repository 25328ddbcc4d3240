import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { readRunState } from '../../src/config/run-state.js';
import { cliEnvironment, PROGRAM } from '../support/run-cli.js';
import type { TestServer } from '../support/test-server.js';

/** One daemon from its start to its end, as a child of the test: how it ended is an event, and nobody else ends it. */
export class DaemonLife {
  /** Resolves when it answers; rejects when it ended before that. */
  readonly serving: Promise<void>;
  /** Resolves with the signal that ended it, or null. */
  readonly ended: Promise<NodeJS.Signals | null>;
  isOver = false;
  readonly #child: ChildProcess;
  readonly #server: TestServer;
  readonly #lines: string[] = [];

  /** @param failPoint - `<point>:<n>` at which it kills itself. */
  constructor(server: TestServer, port: number, failPoint?: string) {
    const armed: Record<string, string> = failPoint === undefined ? {} : { MAIL_PROXY_FAIL_POINT: failPoint };
    this.#server = server;
    this.#child = spawn(process.execPath, [PROGRAM, 'serve', server.name, '--port', String(port)], {
      env: cliEnvironment({ ...server.env, ...armed }),
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.ended = once(this.#child, 'exit').then(([, signal]) => {
      this.isOver = true;
      return signal as NodeJS.Signals | null;
    });
    this.serving = new Promise((resolve, reject) => {
      if (this.#child.stderr === null) return;
      createInterface({ input: this.#child.stderr }).on('line', (line) => {
        this.#lines.push(line);
        if (/ serves http/.test(line)) resolve();
      });
      void this.ended.then(() => reject(new Error(`The daemon ended before it served: ${this.said}`)));
    });
    // Who kills it while it starts does not wait for it to serve.
    this.serving.catch(() => undefined);
    server.adopt(this.pid, port);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** The last that it logged. */
  get said(): string {
    return this.#lines.slice(-20).join('\n');
  }

  /** Resolves when it has made itself known, the step before it recovers what an earlier one left. */
  async beginsRecovery(): Promise<void> {
    while (readRunState(this.#server.file('daemon.json'))?.pid !== this.pid) {
      if (this.isOver) throw new Error(`The daemon ended before it recovered: ${this.said}`);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.ended;
  }
}

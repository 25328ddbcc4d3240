import { closeSync, readFileSync, writeSync } from 'node:fs';
import { BOOT_FDS, type BootAnswer, type BootSecrets, type DaemonReady } from '../config/boot.js';
import { MailProxyError } from '../core/errors.js';
import { startDaemon } from './compose.js';
import { type LineSink, rotatingFile } from './log.js';

/** How `serve` was called. */
export interface ServeOptions {
  directory: string;
  host?: string | undefined;
  port?: number | undefined;
  apiToken?: string | undefined;
  /** Whether a missing key and token are made (`start --foreground`). */
  mayCreateSecrets: boolean;
  /** Whether to go on without keys that stored secrets need. */
  holdUnreadable: boolean;
  /** Whether secrets wait on {@link BOOT_FDS}. */
  spawned: boolean;
  /** Called when it serves, in the foreground. */
  onReady?: (ready: DaemonReady) => void;
}

const STOP_DEADLINE_MS = 30_000;

/**
 * Runs a daemon in this process until it is told to stop: SIGTERM or SIGINT let what is being sent finish (30 s at most),
 * a second signal ends it at once.
 */
export async function serveUntilStopped(options: ServeOptions): Promise<void> {
  const boot = options.spawned ? readBootSecrets() : undefined;
  const apiToken = boot === undefined ? foregroundToken(options) : boot.apiToken;
  let daemon: Awaited<ReturnType<typeof startDaemon>>;
  try {
    daemon = await startDaemon({
      directory: options.directory,
      env: { ...process.env, ...boot?.env },
      flags: { host: options.host, port: options.port },
      apiToken,
      mayCreateSecrets: boot?.mayCreateSecrets ?? options.mayCreateSecrets,
      holdUnreadable: boot?.holdUnreadable ?? options.holdUnreadable,
      sink: boot === undefined ? stderrSink : rotatingFile(boot.logFile),
    });
  } catch (error) {
    if (boot !== undefined) answer(failureAnswer(error));
    throw error;
  }
  if (boot !== undefined) answer({ ok: true, ready: daemon.ready });
  options.onReady?.(daemon.ready);

  const { log } = daemon;
  process.on('unhandledRejection', (error) => {
    log.error('An unexpected failure was not handled; the daemon goes on', { err: error });
  });
  process.on('uncaughtException', (error) => {
    log.error('An unexpected failure ended the daemon', { err: error });
    process.exit(1);
  });
  process.on('SIGHUP', () => log.info('The terminal was closed; the daemon goes on'));
  const isLost = await Promise.race([stopSignal(), daemon.lost.then(() => true)]);
  if (isLost === true) {
    log.error(
      'The database was removed or replaced: the daemon ends, since nothing that it writes would last',
    );
    process.exitCode = 1;
  }
  await daemon.stop(STOP_DEADLINE_MS);
}

function foregroundToken({
  apiToken,
}: ServeOptions): { token: string; fromEnvironment: boolean } | undefined {
  const token = apiToken ?? process.env.GMP_API_TOKEN;
  return token === undefined ? undefined : { token, fromEnvironment: apiToken === undefined };
}

const stderrSink: LineSink = { write: (line) => void process.stderr.write(line) };

/** Resolves at the first signal to stop; the second one ends the process at once. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    let asked = false;
    const stop = (): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  });
}

function readBootSecrets(): BootSecrets {
  const text = readFileSync(BOOT_FDS.secrets, 'utf8');
  closeSync(BOOT_FDS.secrets);
  return JSON.parse(text) as BootSecrets;
}

function answer(said: BootAnswer): void {
  try {
    writeSync(BOOT_FDS.answer, `${JSON.stringify(said)}\n`);
    closeSync(BOOT_FDS.answer);
  } catch (error) {
    // The starter was ended meanwhile: the daemon serves all the same.
    if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  }
}

function failureAnswer(error: unknown): BootAnswer {
  if (error instanceof MailProxyError) return { ok: false, code: error.code, error: error.message };
  const what = error instanceof Error ? error.message : String(error);
  return { ok: false, code: 'start_failed', error: `The daemon could not start: ${what}` };
}

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, fchmodSync, openSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import {
  BOOT_FDS,
  type BootAnswer,
  type BootSecrets,
  type DaemonReady,
  splitEnvironment,
} from '../config/boot.js';
import { packageRoot } from '../config/package-root.js';
import { makePrivateDirectory } from '../config/private-directory.js';
import { serverPaths } from '../config/server-paths.js';
import { ERROR_CODES, type ErrorCode, MailProxyError } from '../core/errors.js';
import { discardIfNew } from './discard-new-server.js';
import { serverStatus } from './server-status.js';

/** How a daemon is started from the shell. */
export interface StartRequest {
  server: string;
  directory: string;
  env: Readonly<Record<string, string | undefined>>;
  host?: string | undefined;
  port?: number | undefined;
  apiToken?: string | undefined;
  holdUnreadable?: boolean | undefined;
}

const START_TIMEOUT_MS = 30_000;
const ENTRY = join(packageRoot(), 'bin', 'run.js');

/**
 * Spawns a server's daemon detached from the terminal and waits until it serves. Secrets go through a pipe; neither its
 * command line nor its environment holds one.
 *
 * @throws MailProxyError `daemon_running`, or what kept the daemon from starting, with its own code.
 */
export async function startServer(request: StartRequest): Promise<DaemonReady> {
  const { directory, env } = request;
  const paths = serverPaths(directory, env);
  if (serverStatus(request.server, directory, env, Date.now()).state === 'running') {
    throw new MailProxyError(
      'daemon_running',
      `The server "${request.server}" is running already: see "mail-proxy status ${request.server}".`,
    );
  }
  const discard = discardIfNew(directory);
  makePrivateDirectory(directory);
  const logFd = openSync(paths.log, 'a', 0o600);
  fchmodSync(logFd, 0o600);
  const { open, secret } = splitEnvironment(env);
  const given = request.apiToken ?? env.GMP_API_TOKEN;
  const apiToken =
    given === undefined ? undefined : { token: given, fromEnvironment: request.apiToken === undefined };
  const boot: BootSecrets = {
    env: secret,
    mayCreateSecrets: true,
    holdUnreadable: request.holdUnreadable === true,
    logFile: paths.log,
    ...(apiToken === undefined ? {} : { apiToken }),
  };
  const child = spawn(
    process.execPath,
    [ENTRY, 'serve', request.server, '--spawned', ...listenFlags(request)],
    {
      detached: true,
      cwd: '/',
      // The spawned process finds the server by name, wherever this one was told that it is.
      env: { ...open, MAIL_PROXY_HOME: dirname(directory) },
      stdio: ['ignore', logFd, logFd, 'pipe', 'pipe'],
    },
  );
  closeSync(logFd);
  const secrets = child.stdio[BOOT_FDS.secrets] as Writable;
  // A child that dies before it reads closes the pipe; its answer, or the lack of one, tells more than EPIPE.
  secrets.on('error', () => undefined);
  secrets.end(JSON.stringify(boot));
  try {
    const ready = await readAnswer(child, child.stdio[BOOT_FDS.answer] as Readable, paths.log);
    // It serves, and its answer may hold a token that is told only once: what is odd now is a warning.
    if (await isHealthy(ready.url)) return ready;
    const warning = `The daemon started but ${ready.url}/health does not answer: see ${paths.log}.`;
    return { ...ready, warnings: [...ready.warnings, warning] };
  } catch (error) {
    // Without an answer the log may say more than the error does: then it stays.
    if (error instanceof MailProxyError && error.code !== 'start_failed') discard();
    throw error;
  } finally {
    child.unref();
  }
}

function listenFlags({ host, port }: StartRequest): string[] {
  return [
    ...(host === undefined ? [] : ['--host', host]),
    ...(port === undefined ? [] : ['--port', String(port)]),
  ];
}

function readAnswer(child: ChildProcess, pipe: Readable, log: string): Promise<DaemonReady> {
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(new MailProxyError('start_failed', `The daemon ${why}: see ${log}.`));
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(`did not answer within ${START_TIMEOUT_MS / 1000} seconds`);
    }, START_TIMEOUT_MS);
    let text = '';
    pipe.setEncoding('utf8');
    pipe.on('data', (chunk: string) => {
      text += chunk;
    });
    pipe.on('close', () => {
      clearTimeout(timer);
      try {
        const answer = JSON.parse(text) as BootAnswer;
        if (answer.ok) resolve(answer.ready);
        else reject(new MailProxyError(codeOf(answer.code), answer.error));
      } catch {
        fail('ended before it could serve');
      }
    });
    child.on('error', (error) => fail(`could not be spawned (${error.message})`));
  });
}

function codeOf(code: string): ErrorCode {
  return code in ERROR_CODES ? (code as ErrorCode) : 'start_failed';
}

async function isHealthy(url: string): Promise<boolean> {
  const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) }).catch(() => undefined);
  await response?.body?.cancel();
  return response?.ok === true;
}

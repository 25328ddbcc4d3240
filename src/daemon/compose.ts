import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import type { DaemonReady } from '../config/boot.js';
import { type ResolvedDaemonConfig, resolveDaemonConfig } from '../config/daemon-config.js';
import { makePrivateDirectory } from '../config/private-directory.js';
import { processIdentity, removeRunState, writeRunState } from '../config/run-state.js';
import { serverPaths } from '../config/server-paths.js';
import { VERSION } from '../config/version.js';
import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { Dispatcher } from '../delivery/dispatcher.js';
import { createApp } from '../http/create-app.js';
import { checkAdminToken, settleAdminToken } from '../services/admin-token.js';
import { discardIfNew } from '../services/discard-new-server.js';
import { loadKeyring, unlockKeys } from '../services/unlock-keys.js';
import { takeServerLock } from '../store/server-lock.js';
import { openStoreAndMigrate, type Store } from '../store/store.js';
import { createLog, type LineSink } from './log.js';
import { watchOtherWriters } from './wakeup.js';

/** How a daemon is started. */
export interface DaemonOptions {
  directory: string;
  /** The environment it acts by; secrets may come from a pipe instead of the process's own. */
  env: Readonly<Record<string, string | undefined>>;
  flags: { host?: string | undefined; port?: number | undefined };
  apiToken: string | undefined;
  /** Whether a missing key and token are made: `start` does, `serve` does not. */
  mayCreateSecrets: boolean;
  sink: LineSink;
}

/** A running daemon. */
export interface Daemon {
  ready: DaemonReady;
  log: Log;
  /** Resolves when the database was removed or replaced under the daemon, which then has to end. */
  lost: Promise<void>;
  /** Stops claiming, lets what is being sent finish, settles, closes. */
  stop(deadlineMs: number): Promise<void>;
}

/**
 * Puts a daemon together, the one place that does: lock, store, keys, token, HTTP, dispatcher. Whatever fails undoes
 * what came before it.
 *
 * @throws MailProxyError `daemon_running`, `port_in_use`, `key_missing`, `token_missing` and what the parts throw.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const undo: Array<() => unknown> = [];
  try {
    return await compose(options, undo);
  } catch (error) {
    for (const step of undo.reverse()) await step();
    throw error;
  }
}

async function compose(options: DaemonOptions, undo: Array<() => unknown>): Promise<Daemon> {
  const paths = serverPaths(options.directory, options.env);
  const startedAt = Date.now();
  undo.push(discardIfNew(options.directory));
  makePrivateDirectory(options.directory);
  const lock = takeServerLock(paths.lock);
  undo.push(() => lock.release());
  const { store, backup } = await openStoreAndMigrate(paths.database);
  undo.push(() => store.close());

  const config = resolveDaemonConfig({
    flags: options.flags,
    env: options.env,
    stored: { host: await store.settings.get('host'), port: await store.settings.get('port') },
  });
  const log = createLog({ level: config.logLevel, format: config.logFormat, sink: options.sink });
  if (backup !== undefined) log.info(`The database was migrated; a copy of the old one is ${backup}`);

  // The port is taken before any secret is made: one that is made is always shown.
  let fetch: Fetch = () =>
    new Response('{"ok":false,"error":"The server is starting.","code":"store_unavailable"}', STARTING);
  const server = await listen((...args) => fetch(...args), config);
  undo.push(() => closeServer(server));

  const places = { env: options.env, serverDirectory: options.directory };
  const unlocked = await unlockKeys(store, places, { mayCreate: options.mayCreateSecrets, now: startedAt });
  const mayCreate = options.mayCreateSecrets;
  await checkAdminToken(store, options.apiToken, { mayCreate });

  let keyring = unlocked.keyring;
  const dispatcher = new Dispatcher({
    store,
    keyring: () => keyring,
    now: Date.now,
    random: Math.random,
    log,
    owner: randomUUID(),
  });
  const app = createApp({
    store,
    keyring: () => keyring,
    now: Date.now,
    startedAt,
    version: VERSION,
    schedulerActive: () => dispatcher.active,
    wake: () => dispatcher.wake(),
    runNow: (tenantId) => dispatcher.runNow(tenantId),
    defaultPriority: config.defaultPriority,
    log,
  });
  const { port } = server.address() as AddressInfo;
  await remember(store, config, port);
  const url = `http://${urlHost(config.host)}:${port}`;
  writeRunState(paths.runState, {
    pid: process.pid,
    processIdentity: processIdentity(process.pid),
    lock: paths.lock,
    host: config.host,
    port,
    url,
    version: VERSION,
    startedAt,
  });
  undo.push(() => removeRunState(paths.runState));

  let lose: () => void = () => undefined;
  const lost = new Promise<void>((resolve) => {
    lose = resolve;
  });
  const stopWatching = watchOtherWriters(
    store,
    log,
    () => {
      loadKeyring(store, places)
        .then((loaded) => {
          keyring = loaded;
        })
        .catch((error: unknown) => log.error('The encryption keys could not be read again', { err: error }))
        .finally(() => dispatcher.wake());
    },
    lose,
  );
  undo.push(stopWatching);
  undo.push(() => dispatcher.stop(REQUEST_GRACE_MS));
  if (config.schedulerActive) await dispatcher.start();
  // Last of all that can fail: a token that is made is shown, or nobody could ever know it.
  const token = await settleAdminToken(store, options.apiToken, { mayCreate });
  fetch = app.fetch;
  const warnings = [...unlocked.warnings, ...token.warnings, ...exposureWarnings(config)];
  for (const warning of warnings) log.warn(warning);
  log.info(`mail-proxy ${VERSION} serves ${url}`);

  return {
    ready: {
      url,
      pid: process.pid,
      generatedToken: token.generated,
      createdKeyFile: unlocked.createdFile,
      warnings,
    },
    log,
    lost,
    async stop(deadlineMs) {
      log.info('Stopping: what is being sent is finished first');
      stopWatching();
      const closed = closeServer(server);
      await dispatcher.stop(deadlineMs);
      // A request that is still coming in after that would keep the daemon for as long as its client likes.
      const cutOff = setTimeout(() => {
        if ('closeAllConnections' in server) server.closeAllConnections();
      }, REQUEST_GRACE_MS);
      await closed;
      clearTimeout(cutOff);
      await store.close();
      removeRunState(paths.runState);
      lock.release();
      log.info('Stopped');
    },
  };
}

/** A new server keeps the host and port that it was first given or found. */
async function remember(store: Store, config: ResolvedDaemonConfig, port: number): Promise<void> {
  if ((await store.settings.get('port')) === undefined) await store.settings.set('port', String(port));
  if ((await store.settings.get('host')) === undefined) await store.settings.set('host', config.host);
}

type Fetch = Parameters<typeof serve>[0]['fetch'];

const STARTING = { status: 503, headers: { 'content-type': 'application/json' } };
/** How long requests under way may take once everything else has stopped. */
const REQUEST_GRACE_MS = 2000;
const MOST_PORTS_TRIED = 200;

async function listen(fetch: Fetch, config: ResolvedDaemonConfig): Promise<ServerType> {
  for (let port = config.port; ; port++) {
    try {
      return await listenOn(fetch, config.host, port);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const tryNext =
        code === 'EADDRINUSE' && config.portIsFree && port < Math.min(config.port + MOST_PORTS_TRIED, 65_535);
      if (tryNext) continue;
      if (code === 'EADDRINUSE') {
        throw new MailProxyError(
          'port_in_use',
          `Port ${port} on ${config.host} is taken by another program: stop it, or start with --port.`,
        );
      }
      if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
        throw new MailProxyError(
          'start_failed',
          `Cannot listen on ${config.host}:${port} (${code}): choose another --host or --port.`,
        );
      }
      throw error;
    }
  }
}

function listenOn(fetch: Fetch, hostname: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch, hostname, port, overrideGlobalObjects: false });
    server.once('listening', () => resolve(server));
    server.once('error', reject);
  });
}

function closeServer(server: ServerType): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    if ('closeIdleConnections' in server) server.closeIdleConnections();
  });
}

function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

function exposureWarnings({ host }: ResolvedDaemonConfig): string[] {
  if (/^(127\.|localhost$|::1$)/.test(host)) return [];
  return [`The API listens on ${host} without TLS: put it behind a reverse proxy that terminates TLS.`];
}

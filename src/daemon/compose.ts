import { randomUUID } from 'node:crypto';
import type { DaemonReady } from '../config/boot.js';
import { type ResolvedDaemonConfig, resolveDaemonConfig } from '../config/daemon-config.js';
import { makePrivateDirectory } from '../config/private-directory.js';
import { processIdentity, removeRunState, writeRunState } from '../config/run-state.js';
import { serverPaths } from '../config/server-paths.js';
import { VERSION } from '../config/version.js';
import { parseAllowance } from '../core/destination.js';
import { armFailPoint } from '../core/fail-points.js';
import type { Log } from '../core/log.js';
import type { Change } from '../core/types.js';
import { createDestinationGuard } from '../delivery/destination-guard.js';
import { Dispatcher } from '../delivery/dispatcher.js';
import { createThreadSender } from '../delivery/thread-sender.js';
import { createApp } from '../http/create-app.js';
import { createMetrics } from '../metrics/metrics.js';
import { createPostReport } from '../reports/post.js';
import { Reporter } from '../reports/reporter.js';
import { checkAdminToken, settleAdminToken } from '../services/admin-token.js';
import { AuthAudit } from '../services/auth-audit.js';
import { discardIfNew } from '../services/discard-new-server.js';
import { unlockKeys } from '../services/unlock-keys.js';
import { takeServerLock } from '../store/server-lock.js';
import { openStoreAndMigrate, type Store } from '../store/store.js';
import { AuditLog } from './audit-log.js';
import { CleanUp } from './clean-up.js';
import { openListener } from './listener.js';
import { LiveKeyring } from './live-keyring.js';
import { createLog, type LineSink } from './log.js';
import { quietAboutStore } from './quiet-log.js';
import { watchOtherWriters } from './wakeup.js';

/** How a daemon is started. */
export interface DaemonOptions {
  directory: string;
  /** The environment it acts by; secrets may come from a pipe instead of the process's own. */
  env: Readonly<Record<string, string | undefined>>;
  flags: { host?: string | undefined; port?: number | undefined };
  apiToken: { token: string; fromEnvironment: boolean } | undefined;
  /** Whether a missing key and token are made: `start` does, `serve` does not. */
  mayCreateSecrets: boolean;
  /** Whether to go on without the keys that some stored secrets need; those accounts are held. */
  holdUnreadable: boolean;
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
  armFailPoint(options.env.MAIL_PROXY_FAIL_POINT);
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
  const log = quietAboutStore(
    createLog({ level: config.logLevel, format: config.logFormat, sink: options.sink }),
    Date.now,
  );
  if (backup !== undefined) log.info(`The database was migrated; a copy of the old one is ${backup}`);

  // The port is taken before any secret is made: one that is made is always shown.
  const listener = await openListener(config);
  undo.push(() => listener.close());

  const places = { env: options.env, serverDirectory: options.directory };
  const by: Change = { actor: { kind: 'daemon' }, now: startedAt };
  const mayCreate = options.mayCreateSecrets;
  const unlocked = await unlockKeys(store, places, { mayCreate, holdUnreadable: options.holdUnreadable, by });
  await checkAdminToken(store, options.apiToken, { mayCreate });

  const keys = new LiveKeyring(store, places, unlocked.keyring);
  await keys.publish();
  const { MAIL_PROXY_ALLOW_PRIVATE: allowPrivate, MAIL_PROXY_FAIL_POINT: failPoint } = options.env;
  const guard = createDestinationGuard(parseAllowance(allowPrivate));
  const sender = createThreadSender({ allowPrivate, failPoint }, log);
  undo.push(() => sender.close());
  const metrics = createMetrics({
    store,
    now: Date.now,
    startedAt,
    version: VERSION,
    lanes: () => dispatcher.standings,
  });
  undo.push(() => metrics.stop());
  const dispatcher = new Dispatcher({
    store,
    sender,
    keyring: () => keys.current,
    reloadKeys: () => keys.reload(),
    now: Date.now,
    random: Math.random,
    log,
    owner: randomUUID(),
    events: metrics.deliveries,
  });
  const reporter = new Reporter({
    store,
    keyring: () => keys.current,
    reloadKeys: () => keys.reload(),
    post: createPostReport(guard),
    global: config.globalSync,
    now: Date.now,
    random: Math.random,
    log,
  });
  const auditLog = await AuditLog.open(store, log);
  const authAudit = new AuthAudit({ store, now: Date.now, log, onWritten: () => auditLog.tell() });
  const app = createApp({
    store,
    keyring: () => keys.current,
    reloadKeys: () => keys.reload(),
    now: Date.now,
    startedAt,
    version: VERSION,
    schedulerActive: () => dispatcher.active,
    wake: () => dispatcher.wake(),
    changed: () => {
      auditLog.tell();
      dispatcher.wake();
      reporter.wake();
    },
    authAudit,
    guard,
    trustedProxies: config.trustedProxies,
    runNow: (tenantId) => {
      dispatcher.runNow(tenantId);
      reporter.runNow(tenantId);
    },
    defaultPriority: config.defaultPriority,
    retention: config.retention,
    log,
    metrics,
  });
  const { port, url } = listener;
  await remember(store, config, port, by);
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
      keys
        .reload()
        .catch((error: unknown) => log.error('The encryption keys could not be read again', { err: error }))
        .finally(() => {
          auditLog.tell();
          dispatcher.wake();
          reporter.wake();
        });
    },
    lose,
  );
  undo.push(stopWatching);
  undo.push(() => dispatcher.stop(UNDO_GRACE_MS));
  await store.settings.tell('scheduler_active', String(config.schedulerActive));
  // Before anything can be settled: whether its report is queued depends on it.
  await store.settings.tell('global_sync', String(config.globalSync !== undefined));
  undo.push(() => reporter.stop(REPORT_GRACE_MS));
  if (config.schedulerActive) {
    await reporter.start();
    await dispatcher.start();
  }
  const cleanUp = new CleanUp({ store: store.cleanup, retention: config.retention, now: Date.now, log });
  cleanUp.start();
  undo.push(() => cleanUp.stop());
  // Last of all that can fail: a token that is made is shown, or nobody could ever know it.
  const token = await settleAdminToken(store, options.apiToken, { mayCreate, by });
  listener.serve(app.fetch);
  const warnings = [...unlocked.warnings, ...token.warnings, ...exposureWarnings(config, options.env)];
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
      const closed = listener.close();
      await dispatcher.stop(deadlineMs);
      await sender.close();
      // After the last outcome: its report may still go out.
      await reporter.stop(REPORT_GRACE_MS);
      await closed;
      await cleanUp.stop();
      await authAudit.close();
      metrics.stop();
      await store.close();
      removeRunState(paths.runState);
      lock.release();
      log.info('Stopped');
    },
  };
}

/** How long calls that are being made may take when the daemon ends; what they carry is sent again otherwise. */
const REPORT_GRACE_MS = 2000;

/** How long a start that fails lets what it began to send finish. */
const UNDO_GRACE_MS = 2000;

/** A new server keeps the host and port that it was first given or found. */
async function remember(store: Store, config: ResolvedDaemonConfig, port: number, by: Change): Promise<void> {
  if ((await store.settings.get('port')) === undefined) await store.settings.set('port', String(port), by);
  if ((await store.settings.get('host')) === undefined) await store.settings.set('host', config.host, by);
}

function exposureWarnings({ host }: ResolvedDaemonConfig, env: DaemonOptions['env']): string[] {
  if (/^(127\.|localhost$|::1$)/.test(host) || /^(1|true|yes|on)$/i.test(env.GMP_BEHIND_TLS ?? '')) return [];
  return [
    `The API listens on ${host} without TLS: put it behind a reverse proxy that terminates TLS, and say so with GMP_BEHIND_TLS=true.`,
  ];
}

import { parseNetworks } from '../core/destination.js';
import { MailProxyError } from '../core/errors.js';
import { DEFAULT_PRIORITY, parsePriority } from '../core/priority.js';
import { DEFAULT_RETENTION_MS } from '../core/retention.js';
import type { SyncEndpoint } from '../core/sync-endpoint.js';
import type { Millis, Priority } from '../core/types.js';
import { globalSyncFrom } from './global-sync.js';

/** Levels of the log. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Settings of a daemon after flag, environment, stored setting and default were weighed, once. */
export interface ResolvedDaemonConfig {
  host: string;
  port: number;
  /** Whether another port may be taken when this one is busy: only a new server that was told none. */
  portIsFree: boolean;
  logLevel: LogLevel;
  logFormat: 'text' | 'json';
  schedulerActive: boolean;
  defaultPriority: Priority;
  /** How long the row of a final message is kept. */
  retention: Millis;
  /** Where reports of tenants go that have no endpoint of their own and may use it. */
  globalSync: SyncEndpoint | undefined;
  /** Networks whose `X-Real-IP` is believed. */
  trustedProxies: string[];
}

/** Where settings come from, strongest first. */
export interface ConfigSources {
  flags: { host?: string | undefined; port?: number | undefined };
  env: Readonly<Record<string, string | undefined>>;
  stored: { host?: string | undefined; port?: string | undefined };
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 8000;
const LEVELS: ReadonlyMap<string, LogLevel> = new Map([
  ['debug', 'debug'],
  ['info', 'info'],
  ['warn', 'warn'],
  ['warning', 'warn'],
  ['error', 'error'],
  ['critical', 'error'],
]);

const invalid = (name: string, wanted: string): MailProxyError =>
  new MailProxyError('usage', `${name} must be ${wanted}.`);

function portFrom(name: string, text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw invalid(name, 'a port from 1 to 65535');
  return port;
}

function booleanFrom(name: string, text: string | undefined, fallback: boolean): boolean {
  if (text === undefined || text === '') return fallback;
  if (/^(1|true|yes|on)$/i.test(text)) return true;
  if (/^(0|false|no|off)$/i.test(text)) return false;
  throw invalid(name, '"true" or "false"');
}

/**
 * Resolves the settings of a daemon.
 *
 * @throws MailProxyError `usage`, naming the variable that is not understood.
 */
export function resolveDaemonConfig({ flags, env, stored }: ConfigSources): ResolvedDaemonConfig {
  const said = flags.port ?? portFrom('GMP_PORT', env.GMP_PORT) ?? portFrom('port', stored.port);
  const level = LEVELS.get((env.GMP_LOG_LEVEL || 'info').toLowerCase());
  if (level === undefined) throw invalid('GMP_LOG_LEVEL', '"debug", "info", "warning" or "error"');
  const format = (env.LOG_FORMAT || 'text').toLowerCase();
  if (format !== 'text' && format !== 'json') throw invalid('LOG_FORMAT', '"text" or "json"');
  return {
    host: flags.host ?? (env.GMP_HOST || undefined) ?? stored.host ?? DEFAULT_HOST,
    port: said ?? DEFAULT_PORT,
    portIsFree: said === undefined,
    logLevel: level,
    logFormat: format,
    schedulerActive: booleanFrom('GMP_SCHEDULER_ACTIVE', env.GMP_SCHEDULER_ACTIVE, true),
    defaultPriority: defaultPriorityFrom(env),
    retention: retentionFrom(env.GMP_DELIVERY_REPORT_RETENTION_SECONDS),
    globalSync: globalSyncFrom(env),
    trustedProxies: proxiesFrom(env.GMP_TRUSTED_PROXIES),
  };
}

/**
 * The priority of messages for which nothing names one.
 *
 * @throws MailProxyError `usage` when `GMP_DEFAULT_PRIORITY` is not understood.
 */
export function defaultPriorityFrom(env: Readonly<Record<string, string | undefined>>): Priority {
  const text = env.GMP_DEFAULT_PRIORITY;
  if (text === undefined || text === '') return DEFAULT_PRIORITY;
  try {
    return parsePriority(/^\d$/.test(text) ? Number(text) : text);
  } catch {
    throw invalid('GMP_DEFAULT_PRIORITY', '0 to 3 or "immediate", "high", "medium" or "low"');
  }
}

/** A hundred years: more is a slip. */
const LONGEST_RETENTION_SECONDS = 100 * 365 * 86_400;

function retentionFrom(text: string | undefined): Millis {
  if (text === undefined || text === '') return DEFAULT_RETENTION_MS;
  if (!/^\d{1,10}$/.test(text) || Number(text) > LONGEST_RETENTION_SECONDS) {
    throw invalid(
      'GMP_DELIVERY_REPORT_RETENTION_SECONDS',
      'a whole number of seconds, at most a hundred years',
    );
  }
  return Number(text) * 1000;
}

const LOOPBACK = ['127.0.0.0/8', '::1/128'];

function proxiesFrom(text: string | undefined): string[] {
  if (text === undefined || text.trim() === '') return LOOPBACK;
  parseNetworks(text, 'GMP_TRUSTED_PROXIES');
  return text.split(',').map((entry) => entry.trim());
}

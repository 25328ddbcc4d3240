import { parseAddress } from './address.js';
import { type FieldIssue, MailProxyError } from './errors.js';
import { normalizeHost } from './host.js';
import { problemWithCertificates } from './pem.js';
import type { Account, LimitBehavior, TlsMode } from './types.js';

/** Everything about an account that its owner sets, the password apart. */
export type AccountSettings = Pick<
  Account,
  | 'host'
  | 'port'
  | 'tls'
  | 'tlsVerify'
  | 'tlsCa'
  | 'user'
  | 'limitMinute'
  | 'limitHour'
  | 'limitDay'
  | 'limitBehavior'
  | 'maxConnections'
  | 'fromAddress'
  | 'isDefault'
>;

/** What a caller said; undefined is "not said", null is "none". */
export interface AccountInput {
  host?: string | undefined;
  port?: number | undefined;
  tls?: TlsMode | undefined;
  tlsVerify?: boolean | undefined;
  tlsCa?: string | null | undefined;
  user?: string | null | undefined;
  password?: string | undefined;
  limitMinute?: number | null | undefined;
  limitHour?: number | null | undefined;
  limitDay?: number | null | undefined;
  limitBehavior?: LimitBehavior | undefined;
  maxConnections?: number | undefined;
  fromAddress?: string | null | undefined;
  isDefault?: boolean | undefined;
  /** Whether an account that delivered over verified TLS may be made weaker. */
  allowDowngrade?: boolean | undefined;
}

/** Connections at once when nothing is said. */
export const DEFAULT_MAX_CONNECTIONS = 5;
const MOST_CONNECTIONS = 100;

const PORT_OF: Record<TlsMode, number> = { none: 25, starttls: 587, ssl: 465 };

/**
 * The TLS mode that existing clients mean by their older flags. Neither of them ever means plaintext.
 */
export function tlsModeFromAliases(said: {
  tls?: TlsMode | undefined;
  port?: number | undefined;
  useTls?: boolean | undefined;
  useSsl?: boolean | undefined;
}): TlsMode | undefined {
  if (said.tls !== undefined) return said.tls;
  if (said.port === 465 || said.useSsl === true) return 'ssl';
  return said.useTls === undefined && said.useSsl === undefined ? undefined : 'starttls';
}

/**
 * Works out the full settings of an account from what was said and, when it is changed, what it was.
 *
 * @throws MailProxyError `validation_failed` with one issue per field; messages never repeat a value.
 */
export function resolveAccountSettings(input: AccountInput, current?: AccountSettings): AccountSettings {
  const issues: FieldIssue[] = [];
  const problem = (path: string, message: string): void => {
    issues.push({ path, message });
  };

  const host = input.host === undefined ? current?.host : normalizeHost(input.host);
  if (host === undefined) {
    problem('host', input.host === undefined ? 'A host is required.' : 'This is no host name or IP address.');
  }
  const tls = input.tls ?? (input.port === 465 ? 'ssl' : undefined) ?? current?.tls ?? 'starttls';
  const keepsPort = input.tls === undefined || input.tls === current?.tls;
  const port = input.port ?? (keepsPort ? current?.port : undefined) ?? PORT_OF[tls];
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    problem('port', 'A port is a number from 1 to 65535.');

  const tlsCa = input.tlsCa === undefined ? (current?.tlsCa ?? null) : input.tlsCa;
  const caProblem = tlsCa === null ? undefined : problemWithCertificates(tlsCa);
  if (caProblem !== undefined) problem('tls_ca', caProblem);

  const user = input.user === undefined ? (current?.user ?? null) : input.user;
  if (user !== null && !isPlainText(user, 256))
    problem('user', 'A user name is 1 to 256 characters without control characters.');
  if (input.password !== undefined) {
    if (!isPlainText(input.password, 1024)) {
      problem('password', 'A password is 1 to 1024 characters without control characters.');
    }
    if (user === null) problem('user', 'A password needs the user name that it belongs to.');
  }

  const limit = (
    path: string,
    said: number | null | undefined,
    was: number | null | undefined,
  ): number | null => {
    const value = said === undefined ? (was ?? null) : said;
    if (value !== null && (!Number.isInteger(value) || value < 0 || value > 1_000_000_000)) {
      problem(path, 'A limit is a whole number; 0 is none.');
    }
    return value === 0 ? null : value;
  };
  const maxConnections = input.maxConnections ?? current?.maxConnections ?? DEFAULT_MAX_CONNECTIONS;
  if (!Number.isInteger(maxConnections) || maxConnections < 1 || maxConnections > MOST_CONNECTIONS) {
    problem('max_connections', `This is a number from 1 to ${MOST_CONNECTIONS}.`);
  }
  const fromAddress = input.fromAddress === undefined ? (current?.fromAddress ?? null) : input.fromAddress;

  const settings: AccountSettings = {
    host: host ?? '',
    port,
    tls,
    tlsVerify: input.tlsVerify ?? current?.tlsVerify ?? true,
    tlsCa,
    user,
    limitMinute: limit('limit_per_minute', input.limitMinute, current?.limitMinute),
    limitHour: limit('limit_per_hour', input.limitHour, current?.limitHour),
    limitDay: limit('limit_per_day', input.limitDay, current?.limitDay),
    limitBehavior: input.limitBehavior ?? current?.limitBehavior ?? 'defer',
    maxConnections,
    fromAddress: fromAddress === null ? null : checkedAddress(fromAddress, problem),
    isDefault: input.isDefault ?? current?.isDefault ?? false,
  };
  if (issues.length > 0) {
    const first = issues[0] as FieldIssue;
    throw new MailProxyError(
      'validation_failed',
      `The account is not valid: ${first.path}: ${first.message}`,
      { issues },
    );
  }
  return settings;
}

/** Whether two settings send a password to the same place, verified in the same way. */
export function sameBinding(a: AccountSettings, b: AccountSettings): boolean {
  return (
    a.host.toLowerCase() === b.host.toLowerCase() &&
    a.port === b.port &&
    a.tls === b.tls &&
    a.user === b.user &&
    a.tlsVerify === b.tlsVerify &&
    a.tlsCa === b.tlsCa
  );
}

function checkedAddress(text: string, problem: (path: string, message: string) => void): string {
  try {
    return parseAddress(text);
  } catch (error) {
    problem('from_address', error instanceof Error ? error.message : 'This is no mail address.');
    return '';
  }
}

function isPlainText(text: string, most: number): boolean {
  return (
    text.length > 0 &&
    text.length <= most &&
    [...text].every((c) => c >= ' ' && c !== '\u007f' && !/\p{Cs}/u.test(c))
  );
}

import { readFile } from 'node:fs/promises';
import { boolean, integer, string } from '@oclif/core/flags';
import type { AccountRequest } from '../client/index.js';
import { type AccountInput, tlsModeFromAliases } from '../core/account-settings.js';
import { MailProxyError } from '../core/errors.js';
import type { LimitBehavior, TlsMode } from '../core/types.js';
import { askSecret, canPrompt } from './prompts.js';
import { readSecret } from './secret-input.js';

/** Flags that describe an SMTP account, shared by `accounts add` and `accounts update`. */
export const accountFlags = {
  host: string({ summary: 'Host name or IP address of the SMTP server.', helpValue: 'HOST' }),
  port: integer({ summary: 'Port; 25, 587 or 465 by --tls when left out.', min: 1, max: 65535 }),
  tls: string({
    summary: 'Protection of the connection; starttls when left out.',
    options: ['none', 'starttls', 'ssl'],
  }),
  'use-tls': boolean({ summary: 'Older name of --tls starttls.', exclusive: ['tls'] }),
  'use-ssl': boolean({ summary: 'Older name of --tls ssl.', exclusive: ['tls'] }),
  'tls-ca': string({
    summary: 'PEM file of certificate authorities to trust instead of the system’s.',
    helpValue: 'FILE',
  }),
  'tls-verify': boolean({ summary: 'Verify the server’s certificate.', allowNo: true }),
  user: string({ summary: 'User name to log in with.', aliases: ['username'], helpValue: 'USER' }),
  password: string({ summary: 'Its password; others on the host can read it.', helpValue: 'PASSWORD' }),
  'password-stdin': boolean({ summary: 'Read the password from stdin.' }),
  'password-file': string({ summary: 'Read the password from a file.', helpValue: 'FILE' }),
  'limit-minute': integer({ summary: 'Most messages in any minute; 0 is none.', min: 0 }),
  'limit-hour': integer({
    summary: 'Most messages in any hour; 0 is none.',
    aliases: ['hourly-limit'],
    min: 0,
  }),
  'limit-day': integer({ summary: 'Most messages in any day; 0 is none.', aliases: ['daily-limit'], min: 0 }),
  'limit-behavior': string({
    summary: 'What happens to messages over a limit; defer when left out.',
    options: ['defer', 'reject'],
  }),
  'max-connections': integer({ summary: 'Most connections at once; 5 when left out.', min: 1, max: 100 }),
  'from-address': string({ summary: 'Author of messages that name none.', helpValue: 'ADDRESS' }),
  default: boolean({ summary: 'Use it for messages that name no account.', allowNo: true }),
};

/** {@link accountFlags} as parsed. */
export interface ParsedAccountFlags {
  host?: string | undefined;
  port?: number | undefined;
  tls?: string | undefined;
  'use-tls'?: boolean | undefined;
  'use-ssl'?: boolean | undefined;
  'tls-ca'?: string | undefined;
  'tls-verify'?: boolean | undefined;
  user?: string | undefined;
  password?: string | undefined;
  'password-stdin'?: boolean | undefined;
  'password-file'?: string | undefined;
  'limit-minute'?: number | undefined;
  'limit-hour'?: number | undefined;
  'limit-day'?: number | undefined;
  'limit-behavior'?: string | undefined;
  'max-connections'?: number | undefined;
  'from-address'?: string | undefined;
  default?: boolean | undefined;
}

/** Turns flags into what the service takes, the password apart. @throws MailProxyError `file_unreadable`. */
export async function accountInput(flags: ParsedAccountFlags): Promise<AccountInput> {
  const tls = tlsModeFromAliases({
    tls: flags.tls as TlsMode | undefined,
    port: flags.port,
    useTls: flags['use-tls'],
    useSsl: flags['use-ssl'],
  });
  return {
    host: flags.host,
    port: flags.port,
    tls,
    tlsVerify: flags['tls-verify'],
    tlsCa: flags['tls-ca'] === undefined ? undefined : await readCertificates(flags['tls-ca']),
    user: flags.user === '' ? null : flags.user,
    limitMinute: flags['limit-minute'],
    limitHour: flags['limit-hour'],
    limitDay: flags['limit-day'],
    limitBehavior: flags['limit-behavior'] as LimitBehavior | undefined,
    maxConnections: flags['max-connections'],
    fromAddress: flags['from-address'] === '' ? null : flags['from-address'],
    isDefault: flags.default,
  };
}

/**
 * Reads the password from where the flags say, else the environment, else by asking.
 *
 * @param wanted - Whether one is needed: only then are the environment and the person asked.
 */
export async function accountPassword(
  flags: ParsedAccountFlags,
  wanted: boolean,
  warn: (message: string) => void,
): Promise<string | undefined> {
  return await readSecret({
    name: 'password',
    fromStdin: flags['password-stdin'],
    file: flags['password-file'],
    flag: flags.password,
    environment: wanted ? process.env.MAIL_PROXY_SMTP_PASSWORD : undefined,
    ask: wanted && canPrompt() ? () => askSecret('SMTP password:') : undefined,
    warn,
  });
}

/** An empty file name takes the authorities of the account away again. */
async function readCertificates(file: string): Promise<string | null> {
  if (file === '') return null;
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? 'unknown reason';
    throw new MailProxyError('file_unreadable', `The file of --tls-ca cannot be read: ${code}.`, { cause });
  }
}

/** An account as the HTTP contract takes it, for a command that goes through the daemon. */
export function accountBody(
  id: string | undefined,
  tenantId: string,
  input: AccountInput,
): Record<string, unknown> {
  const body: Record<string, unknown> = {
    id,
    tenant_id: tenantId,
    host: input.host,
    port: input.port,
    tls: input.tls,
    tls_verify: input.tlsVerify,
    tls_ca: input.tlsCa,
    user: input.user,
    password: input.password,
    limit_per_minute: input.limitMinute,
    limit_per_hour: input.limitHour,
    limit_per_day: input.limitDay,
    limit_behavior: input.limitBehavior,
    max_connections: input.maxConnections,
    from_address: input.fromAddress,
    is_default: input.isDefault,
    allow_downgrade: input.allowDowngrade,
  };
  return Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== undefined),
  ) as Partial<AccountRequest>;
}

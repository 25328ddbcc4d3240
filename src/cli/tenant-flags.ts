import { boolean, integer, string } from '@oclif/core/flags';
import type { TenantRequest } from '../client/index.js';
import { MailProxyError } from '../core/errors.js';
import type { ClientAuthInput, TenantInput } from '../core/tenant-settings.js';
import type { UncertainPolicy } from '../core/types.js';
import { readSecret } from './secret-input.js';

/** Flags that describe a tenant, shared by `tenants add` and `tenants update`. */
export const tenantFlags = {
  name: string({ summary: 'Name for people; the id when left out.', helpValue: 'NAME' }),
  'base-url': string({
    summary: 'URL of the tenant’s own endpoint, for delivery reports.',
    helpValue: 'URL',
  }),
  'sync-path': string({ summary: 'Path below it that takes delivery reports.', helpValue: 'PATH' }),
  'attachment-path': string({ summary: 'Path below it that gives attachments.', helpValue: 'PATH' }),
  'auth-method': string({
    summary: 'How its endpoint is authenticated with.',
    options: ['none', 'bearer', 'basic'],
  }),
  'auth-user': string({ summary: 'User of --auth-method basic.', helpValue: 'USER' }),
  'auth-secret-stdin': boolean({ summary: 'Read the bearer token or basic password from stdin.' }),
  'auth-secret-file': string({
    summary: 'Read the bearer token or basic password from a file.',
    helpValue: 'FILE',
  }),
  'hourly-limit': integer({ summary: 'Most messages in any hour over all accounts; 0 is none.', min: 0 }),
  'daily-limit': integer({ summary: 'Most messages in any day over all accounts; 0 is none.', min: 0 }),
  'on-uncertain': string({
    summary: 'After a crash in mid-message: send it again (retry) or hold it.',
    options: ['retry', 'hold'],
  }),
};

/** {@link tenantFlags} as parsed. */
export interface ParsedTenantFlags {
  name?: string | undefined;
  'base-url'?: string | undefined;
  'sync-path'?: string | undefined;
  'attachment-path'?: string | undefined;
  'auth-method'?: string | undefined;
  'auth-user'?: string | undefined;
  'auth-secret-stdin'?: boolean | undefined;
  'auth-secret-file'?: string | undefined;
  'hourly-limit'?: number | undefined;
  'daily-limit'?: number | undefined;
  'on-uncertain'?: string | undefined;
}

/** Turns flags into what the service takes, secrets read from where they say. */
export async function tenantInput(
  flags: ParsedTenantFlags,
  warn: (message: string) => void,
): Promise<TenantInput> {
  return {
    name: flags.name,
    clientBaseUrl: flags['base-url'] === '' ? null : flags['base-url'],
    clientSyncPath: flags['sync-path'],
    clientAttachmentPath: flags['attachment-path'],
    clientAuth: await clientAuth(flags, warn),
    limitHourly: flags['hourly-limit'],
    limitDaily: flags['daily-limit'],
    onUncertain: flags['on-uncertain'] as UncertainPolicy | undefined,
  };
}

async function clientAuth(
  flags: ParsedTenantFlags,
  warn: (message: string) => void,
): Promise<ClientAuthInput | undefined> {
  const method = flags['auth-method'];
  const secret = await readSecret({
    name: 'auth-secret',
    fromStdin: flags['auth-secret-stdin'],
    file: flags['auth-secret-file'],
    warn,
  });
  if (method === undefined || method === 'none') {
    if (secret !== undefined)
      throw new MailProxyError('usage', 'Say what the secret is for with --auth-method bearer or basic.');
    return method === 'none' ? { method } : undefined;
  }
  if (secret === undefined) {
    throw new MailProxyError(
      'usage',
      `--auth-method ${method} needs a secret: give --auth-secret-stdin or --auth-secret-file.`,
    );
  }
  if (method === 'bearer') return { method, token: secret };
  const user = flags['auth-user'];
  if (user === undefined) throw new MailProxyError('usage', '--auth-method basic needs --auth-user.');
  return { method: 'basic', user, password: secret };
}

/** A tenant as the HTTP contract takes it, for a command that goes through the daemon. */
export function tenantBody(tenantId: string, input: TenantInput): TenantRequest {
  const limits = { hourly: input.limitHourly, daily: input.limitDaily };
  const saidLimits = Object.entries(limits).filter(([, value]) => value !== undefined);
  const body: Record<string, unknown> = {
    tenant_id: tenantId,
    name: input.name,
    client_base_url: input.clientBaseUrl,
    client_sync_path: input.clientSyncPath,
    client_attachment_path: input.clientAttachmentPath,
    client_auth: input.clientAuth,
    webhook_secret: input.webhookSecret,
    rate_limits: saidLimits.length === 0 ? undefined : Object.fromEntries(saidLimits),
    on_uncertain: input.onUncertain,
  };
  return Object.fromEntries(
    Object.entries(body).filter(([, value]) => value !== undefined),
  ) as unknown as TenantRequest;
}

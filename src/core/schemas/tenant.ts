import { z } from 'zod';
import { type FieldIssue, MailProxyError } from '../errors.js';
import type { ClientAuthInput, TenantInput } from '../tenant-settings.js';
import { parseTimestamp } from '../time.js';
import type { Millis } from '../types.js';
import { wireIdSchema } from './account.js';

const secret = z.string().min(1).max(4096);
const limit = z.int().min(0).nullish().describe('0 or null is no limit.');

/** How the tenant's own endpoint is authenticated with. */
const clientAuthSchema = z.strictObject({
  method: z.enum(['none', 'bearer', 'basic']),
  token: secret.nullish().describe('For `bearer`. Stored encrypted and never shown.'),
  user: z.string().min(1).max(256).nullish().describe('For `basic`.'),
  password: secret.nullish().describe('For `basic`. Stored encrypted and never shown.'),
});

/**
 * `POST /tenant` on the wire: unknown fields are refused; null is "none" for URL and limits, and the same as absent for
 * all others. What the values mean is checked by `resolveTenantSettings`.
 */
export const tenantBodySchema = z.strictObject({
  tenant_id: wireIdSchema.nullish().describe('A new tenant, or the one to update.'),
  id: wireIdSchema.nullish().describe('Alias of `tenant_id`.'),
  name: z.string().max(200).nullish().describe('The id when left out.'),
  token: z
    .string()
    .max(512)
    .nullish()
    .describe("The operator's own choice of API token; generated for a new tenant when left out."),
  token_expires_at: z
    .union([z.number(), z.string().max(64)], { error: 'Must be Unix seconds or ISO 8601 with an offset.' })
    .nullish()
    .describe('When `token` ceases to be valid. Unix seconds or ISO 8601 with an offset.'),
  client_base_url: z.string().max(1000).nullish().describe('Null is none.'),
  client_sync_path: z.string().max(1000).nullish().describe('Default `/mail-proxy/sync`.'),
  client_attachment_path: z.string().max(1000).nullish().describe('Default `/mail-proxy/attachments`.'),
  client_auth: clientAuthSchema.nullish(),
  webhook_secret: secret.nullish().describe('Generated for a new tenant when left out.'),
  active: z.boolean().nullish(),
  rate_limits: z
    .strictObject({ hourly: limit, daily: limit })
    .nullish()
    .describe('Enforced over all accounts of the tenant.'),
  on_uncertain: z
    .enum(['retry', 'hold'])
    .nullish()
    .describe('What is done after a crash with a message whose body was being handed over. Default `retry`.'),
  use_global_sync: z.boolean().nullish(),
  attachment_roots: z.array(z.string().max(4096)).max(100).nullish(),
});

/** A tenant of the wire that has the right shape. */
export type TenantBody = z.infer<typeof tenantBodySchema>;

/** What a tenant of the wire means. */
export interface TenantRequest {
  tenantId: string;
  input: TenantInput;
  /** The operator's own choice of token, with the Unix milliseconds at which it expires. */
  chosen: { token: string | undefined; expiresAt: Millis | undefined };
}

function fail(path: string, message: string): never {
  const issues: FieldIssue[] = [{ path, message }];
  throw new MailProxyError('validation_failed', `The tenant is not valid: ${path}: ${message}`, { issues });
}

function idOf({ tenant_id: tenantId, id }: TenantBody): string {
  if (tenantId && id && tenantId !== id) fail('tenant_id', 'It differs from its alias id: give one of them.');
  return tenantId ?? id ?? fail('tenant_id', 'A tenant id is required.');
}

function authOf({ client_auth: auth }: TenantBody): ClientAuthInput | undefined {
  switch (auth?.method) {
    case undefined:
      return undefined;
    case 'none':
      return { method: 'none' };
    case 'bearer':
      return {
        method: 'bearer',
        token: auth.token ?? fail('client_auth.token', 'This method needs a token.'),
      };
    case 'basic':
      return {
        method: 'basic',
        user: auth.user ?? fail('client_auth.user', 'This method needs a user.'),
        password: auth.password ?? fail('client_auth.password', 'This method needs a password.'),
      };
  }
}

function expiryOf({ token, token_expires_at: at }: TenantBody): Millis | undefined {
  if (at === undefined || at === null) return undefined;
  if (!token) fail('token_expires_at', 'It belongs to token, which is not given.');
  try {
    return parseTimestamp(at);
  } catch (error) {
    if (!(error instanceof MailProxyError)) throw error;
    return fail('token_expires_at', error.message);
  }
}

/**
 * Says what a tenant of the wire means.
 *
 * @throws MailProxyError `validation_failed` for fields that contradict or miss one another; values are not repeated.
 */
export function tenantRequestFromWire(body: TenantBody): TenantRequest {
  return {
    tenantId: idOf(body),
    input: {
      name: body.name ?? undefined,
      active: body.active ?? undefined,
      clientBaseUrl: body.client_base_url,
      clientSyncPath: body.client_sync_path ?? undefined,
      clientAttachmentPath: body.client_attachment_path ?? undefined,
      clientAuth: authOf(body),
      webhookSecret: body.webhook_secret ?? undefined,
      limitHourly: body.rate_limits?.hourly,
      limitDaily: body.rate_limits?.daily,
      onUncertain: body.on_uncertain ?? undefined,
      useGlobalSync: body.use_global_sync ?? undefined,
      attachmentRoots: body.attachment_roots ?? undefined,
    },
    chosen: { token: body.token ?? undefined, expiresAt: expiryOf(body) },
  };
}

import { z } from 'zod';
import { type AccountInput, tlsModeFromAliases } from '../account-settings.js';
import { MailProxyError } from '../errors.js';
import { ID_PATTERN } from '../ids.js';

const limit = (per: string) =>
  z.int().min(0).nullish().describe(`Most messages in any ${per}; 0 or null is no limit.`);

/** Id of a tenant or account, as the contract's grammar has it. */
export const wireIdSchema = z
  .string()
  .regex(ID_PATTERN, 'Use 1 to 64 letters, digits, ".", "_" or "-", beginning with a letter or digit.');

/**
 * `POST /account` on the wire: unknown fields are refused, and null is the same as absent. What the values mean (host
 * names, certificates, addresses) is checked by `resolveAccountSettings`.
 */
export const accountBodySchema = z.strictObject({
  id: wireIdSchema.describe('Unique in its tenant; an account with this id is replaced.'),
  tenant_id: wireIdSchema.nullish().describe("The token's own tenant when left out."),
  host: z.string().max(1024).describe('Host name or IP address of the SMTP server.'),
  port: z.int().min(1).max(65535).nullish().describe('25, 587 or 465 by `tls` when left out.'),
  tls: z
    .enum(['none', 'starttls', 'ssl'])
    .nullish()
    .describe('Default `starttls`; `ssl` on port 465. Only `none` is plaintext.'),
  tls_verify: z.boolean().nullish().describe("Whether the server's certificate must be valid. Default true."),
  tls_ca: z
    .string()
    .max(1_000_000)
    .nullish()
    .describe("PEM of the authorities to trust instead of the system's."),
  user: z.string().max(1024).nullish(),
  username: z.string().max(1024).nullish().describe('Alias of `user`.'),
  password: z
    .string()
    .max(4096)
    .nullish()
    .describe(
      'Stored encrypted and never shown. May be left out while what it is bound to (host, port, TLS, user) stays.',
    ),
  use_tls: z.boolean().nullish().describe('Alias of existing clients; never means plaintext. Use `tls`.'),
  use_ssl: z
    .boolean()
    .nullish()
    .describe('Alias of existing clients; true is `ssl`, false `starttls`. Use `tls`.'),
  limit_per_minute: limit('minute'),
  limit_per_hour: limit('hour'),
  limit_per_day: limit('24 hours'),
  limit_behavior: z
    .enum(['defer', 'reject'])
    .nullish()
    .describe('Whether a message over a limit waits (default) or ends in error.'),
  max_connections: z.int().min(1).max(100).nullish().describe('Connections at once, default 5.'),
  from_address: z.string().max(1024).nullish().describe('Author of messages that name none.'),
  allow_downgrade: z
    .boolean()
    .nullish()
    .describe('Whether an account that delivered over verified TLS may be made weaker.'),
  is_default: z.boolean().nullish().describe('Whether messages that name no account use this one.'),
});

/** An account of the wire that has the right shape. */
export type AccountBody = z.infer<typeof accountBodySchema>;

/**
 * Says what an account of the wire means, its older spellings resolved.
 *
 * @throws MailProxyError `validation_failed` when `user` and its alias differ.
 */
export function accountInputFromWire(body: AccountBody): AccountInput {
  if (body.user && body.username && body.user !== body.username) {
    const message = 'It differs from its alias username: give one of them.';
    throw new MailProxyError('validation_failed', `The account is not valid: user: ${message}`, {
      issues: [{ path: 'user', message }],
    });
  }
  const port = body.port ?? undefined;
  return {
    host: body.host,
    port,
    tls: tlsModeFromAliases({
      tls: body.tls ?? undefined,
      port,
      useTls: body.use_tls ?? undefined,
      useSsl: body.use_ssl ?? undefined,
    }),
    tlsVerify: body.tls_verify ?? undefined,
    tlsCa: body.tls_ca,
    user: body.user ?? body.username,
    password: body.password ?? undefined,
    limitMinute: body.limit_per_minute,
    limitHour: body.limit_per_hour,
    limitDay: body.limit_per_day,
    limitBehavior: body.limit_behavior ?? undefined,
    maxConnections: body.max_connections ?? undefined,
    fromAddress: body.from_address,
    isDefault: body.is_default ?? undefined,
    allowDowngrade: body.allow_downgrade ?? undefined,
  };
}

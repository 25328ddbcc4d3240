import { z } from 'zod';
import { AUDIT_EVENT_NAMES } from '../core/audit.js';
import { ERROR_CODES, type ErrorCode } from '../core/errors.js';
import { HOLD_GATES, type HoldGate } from '../core/hold.js';
import { MESSAGE_EVENT_TYPES } from '../core/types.js';

const unixSeconds = z.int().nullable().describe('Unix seconds.');
const isoTime = z.string().describe('ISO 8601.');
const rateLimit = z.int().nullable().describe('Null is no limit.');

/** How the calls to a tenant stand, as it is answered. */
export const syncStatusAnswer = z.object({
  id: z.string(),
  name: z.string(),
  active: z.boolean(),
  client_base_url: z.string().nullable(),
  last_sync_ts: z.int().nullable().describe('The last call that was answered well.'),
  next_sync_due: z.boolean().describe('Whether it is to be called now, even without anything to report.'),
  in_dnd: z.boolean().describe('Whether it wants no call now that carries no report.'),
});

/** First field of every answer that is no failure. */
export const okField = { ok: z.literal(true) };

/** The answer of a route that has nothing to say. */
export const okAnswer = z.object(okField);

/** Fields of an account as it is shown: no password, not even encrypted. */
export const accountAnswer = z.object({
  id: z.string(),
  tenant_id: z.string(),
  host: z.string(),
  port: z.int(),
  tls: z.enum(['none', 'starttls', 'ssl']),
  tls_verify: z.boolean(),
  tls_ca: z.string().nullable(),
  user: z.string().nullable(),
  has_password: z.boolean(),
  limit_per_minute: rateLimit,
  limit_per_hour: rateLimit,
  limit_per_day: rateLimit,
  limit_behavior: z.enum(['defer', 'reject']),
  max_connections: z.int(),
  from_address: z.string().nullable(),
  is_default: z.boolean(),
  created_at: isoTime,
  updated_at: isoTime,
});

/** Fields of a tenant as it is shown: no secret and no hash. */
export const tenantAnswer = z.object({
  id: z.string(),
  name: z.string(),
  active: z.boolean(),
  client_base_url: z.string().nullable(),
  client_sync_path: z.string(),
  client_attachment_path: z.string(),
  client_auth: z.object({ method: z.enum(['none', 'bearer', 'basic']), user: z.string().optional() }),
  has_webhook_secret: z.boolean(),
  rate_limits: z.object({ hourly: rateLimit, daily: rateLimit }),
  on_uncertain: z.enum(['retry', 'hold']),
  use_global_sync: z.boolean(),
  attachment_roots: z.array(z.string()),
  created_at: isoTime,
  updated_at: isoTime,
});

/** Fields of a tenant's token as it is shown. */
export const tokenAnswer = z.object({
  name: z.string(),
  created_at: z.string().nullable(),
  expires_at: z.string().nullable(),
  last_used_at: z.string().nullable(),
});

/** Fields of an audit record. */
export const auditAnswer = z.object({
  seq: z.int(),
  chain: z.int().describe('A lost audit key begins a new chain.'),
  created_at: isoTime,
  event: z.enum(AUDIT_EVENT_NAMES),
  actor: z.string(),
  address: z.string().nullable(),
  tenant_id: z.string().nullable(),
  subject: z.string().nullable(),
  detail: z.record(z.string(), z.unknown()),
  hash: z.string().describe('HMAC over this record and the hash before it.'),
});

/** What a message can be, as people and clients see it. */
export const messageStatus = z.enum([
  'pending',
  'deferred',
  'suspended',
  'sending',
  'uncertain',
  'sent',
  'error',
]);

/** Fields of a message as lists show it. */
export const messageAnswer = z.object({
  pk: z.int(),
  id: z.string(),
  tenant_id: z.string(),
  account_id: z.string(),
  status: messageStatus,
  priority: z.int().min(0).max(3),
  batch_code: z.string().nullable(),
  subject: z.string(),
  created_at: isoTime,
  deferred_ts: unixSeconds,
  sent_ts: unixSeconds,
  error_ts: unixSeconds,
  error: z.string().nullable(),
  retry_count: z.int(),
  next_attempt_ts: unixSeconds,
  expires_ts: unixSeconds,
  recipients: z.array(
    z.object({
      address: z.string(),
      status: z.enum(['pending', 'sent', 'error']),
      code: z.int().nullable(),
      reply: z.string().nullable(),
      ts: unixSeconds,
    }),
  ),
});

const hold = z.object({
  gate: z.enum(Object.keys(HOLD_GATES) as [HoldGate, ...HoldGate[]]).describe(
    Object.entries(HOLD_GATES)
      .map(([gate, meaning]) => `\`${gate}\`: ${meaning}`)
      .join('\n'),
  ),
  until_ts: unixSeconds.describe(
    'When it ends by itself; null when somebody has to do something or nobody knows.',
  ),
  reason: z.string().describe('One sentence for people.'),
});

/** What holds a message. */
export const holdAnswer = hold
  .extend({
    behind: z.int().describe('Messages of its account that go before it; 10,001 stands for more.'),
    gates: z.array(hold).describe('All that holds it: what needs a person first, then what ends last.'),
  })
  .nullable();

/** Something that happened to a message. */
export const eventAnswer = z.object({
  event_type: z.enum(MESSAGE_EVENT_TYPES),
  event_ts: z.int().describe('Unix seconds.'),
  event_data: z
    .record(z.string(), z.unknown())
    .describe('What belongs to it, such as `error`, `next_attempt_ts` or `since_ts`.'),
});

/** The body of every failure, with all codes there are. */
export const errorAnswer = z.object({
  ok: z.literal(false),
  error: z.string().describe('One sentence: what is wrong and what to do.'),
  code: z.enum(Object.keys(ERROR_CODES) as [ErrorCode, ...ErrorCode[]]).describe('Stable; never renamed.'),
  issues: z
    .array(z.object({ path: z.string(), message: z.string() }))
    .optional()
    .describe('With status 422: the fields that are not valid.'),
});

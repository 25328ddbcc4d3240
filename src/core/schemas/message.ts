import { z } from 'zod';
import { FETCH_MODES } from '../attachment.js';
import { MAX_RECIPIENTS } from '../limits.js';
import { PRIORITY_NAMES } from '../priority.js';
import { REJECTION_CODES } from '../rejection-codes.js';
import { wireIdSchema } from './account.js';

/** Limits of the add-messages body; http-api.md, "Limits". */
const MAX_BATCH = 1000;
const MAX_HEADERS = 100;
const MAX_LIST_TEXT = 512 * 1024;
const MAX_ADDRESS_TEXT = 1024;

/** Text without control characters and lone surrogates; a refinement, since JSON Schema patterns carry no `u` flag. */
const noControls = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .refine((text) => !/[\p{Cc}\p{Cs}]/u.test(text), 'Control characters are not allowed.');

const addressText = z
  .string()
  .max(MAX_ADDRESS_TEXT)
  .describe('One mailbox: `a@example.com` or `Name <a@example.com>`.');

const addressList = z
  .union([z.string().max(MAX_LIST_TEXT), z.array(z.string().max(MAX_ADDRESS_TEXT)).max(MAX_RECIPIENTS)], {
    error: `Must be a comma-separated string or a list of at most ${MAX_RECIPIENTS} strings.`,
  })
  .describe('Mailboxes, as a list or comma-separated. At most 1,000 recipients in all of to, cc and bcc.');

/** A moment on the wire. */
export const timestampSchema = z
  .union([z.number(), z.string().max(64)], { error: 'Must be Unix seconds or ISO 8601 with an offset.' })
  .describe('Unix seconds (fractions allowed) or ISO 8601 with an offset.');

/** A priority on the wire: its number or its name. */
export const prioritySchema = z
  // One literal each: of a list of numbers the OpenAPI document would show the first alone.
  .union([z.literal(0), z.literal(1), z.literal(2), z.literal(3), z.enum(PRIORITY_NAMES)], {
    error: 'Must be 0, 1, 2, 3, "immediate", "high", "medium" or "low".',
  })
  .describe('0 `immediate`, 1 `high`, 2 `medium`, 3 `low`.');

/** One attachment of a message. Only inline base64 is built; the other modes are answered `not_supported`. */
export const attachmentSchema = z.strictObject({
  filename: z
    .string()
    .min(1)
    .max(1024)
    .describe('Name that the recipient sees; path and control characters are dropped.'),
  storage_path: z
    .string()
    .describe('With `fetch_mode` `base64` the content itself, with or without the prefix `base64:`.'),
  fetch_mode: z.enum(FETCH_MODES).nullish().describe('Inferred from `storage_path` when left out.'),
  mime_type: z.string().max(200).nullish().describe('Derived from the file name when left out.'),
  content_md5: z
    .string()
    .regex(/^[0-9A-Fa-f]{32}$/, 'Must be 32 hexadecimal digits.')
    .nullish()
    .describe('MD5 of the content, checked before the message is queued.'),
  auth: z.unknown().optional().describe('Not supported yet.'),
});

/**
 * One message on the wire, by shape alone: unknown fields are refused, null is the same as absent. What the fields
 * mean (addresses, times, headers, content) is checked by `normalizeMessage`.
 */
export const messageSchema = z.strictObject({
  id: noControls(255).describe(
    'Unique in its tenant; the same id again replaces the message while it is unsent.',
  ),
  tenant_id: wireIdSchema.nullish().describe("The token's own tenant when left out."),
  account_id: wireIdSchema.nullish().describe("The tenant's default account when left out."),
  from: addressText.nullish().describe("Author; the account's from_address when left out."),
  from_addr: addressText.nullish().describe('Alias of `from`.'),
  to: addressList.nullish(),
  cc: addressList.nullish(),
  bcc: addressList.nullish(),
  reply_to: addressList.nullish(),
  return_path: z
    .string()
    .max(MAX_ADDRESS_TEXT)
    .nullish()
    .describe('Envelope sender; `<>` is the null sender. `from` when left out.'),
  subject: z.string().max(4096).nullish(),
  body: z.string().nullish().describe('Content of type `content_type`; not together with `text` or `html`.'),
  content_type: z.enum(['plain', 'html']).nullish().describe('Type of `body`, default `plain`.'),
  text: z.string().nullish().describe('Plain-text version.'),
  html: z.string().nullish().describe('HTML version.'),
  message_id: z
    .string()
    .max(255)
    .nullish()
    .describe('Message-ID, with or without angle brackets; generated when left out.'),
  headers: z
    .record(z.string(), z.string())
    .refine(
      (headers) => Object.keys(headers).length <= MAX_HEADERS,
      `At most ${MAX_HEADERS} headers are allowed.`,
    )
    .nullish()
    .describe('Additional header fields, at most 100; those made from other fields are refused.'),
  priority: prioritySchema.nullish(),
  deferred_ts: timestampSchema
    .nullish()
    .describe('Not sent before this time. Unix seconds or ISO 8601 with an offset.'),
  expires_ts: timestampSchema
    .nullish()
    .describe(
      'Given up at this time, 48 hours from now when left out. Unix seconds or ISO 8601 with an offset.',
    ),
  batch_code: noControls(255).nullish(),
  attachments: z.array(attachmentSchema).max(1000).nullish(),
  raw: z
    .string()
    .nullish()
    .describe(
      'A whole RFC 5322 message in base64, in place of subject, body, attachments and headers. Its own fields name sender and recipients, unless `from` (or `return_path`), or `to`, `cc` or `bcc` do: these are the envelope then. Bcc is removed.',
    ),
});

/** A message that has the right shape. */
export type WireMessage = z.infer<typeof messageSchema>;

/**
 * The add-messages body, cheap to check: the messages themselves are validated one by one with {@link messageSchema}, so
 * that a bad one never stops the others.
 */
export const addMessagesBodySchema = z.strictObject({
  messages: z.array(z.unknown()).min(1).max(MAX_BATCH).describe('1 to 1,000 messages.'),
  default_priority: prioritySchema
    .nullish()
    .describe('Priority of messages that name none, default `medium`.'),
  tenant_id: wireIdSchema.nullish().describe('Tenant of messages that name none.'),
});

/** The same body with its messages spelled out, for the OpenAPI document; never used to validate. */
export const addMessagesDocSchema = addMessagesBodySchema.extend({
  messages: z.array(messageSchema).min(1).max(MAX_BATCH),
});

/** The answer to add-messages. */
export const addMessagesAnswerSchema = z.object({
  ok: z.literal(true),
  queued: z.number().int().describe('How many messages were stored.'),
  rejected: z
    .array(z.object({ id: z.string().nullable(), reason: z.string(), code: z.enum(REJECTION_CODES) }))
    .describe('Messages that were not stored, each with its reason and a stable code.'),
});

import { createHash } from 'node:crypto';
import { z } from 'zod';
import { MAX_KEY_LENGTH } from '../core/keyed-request.js';
import type { AppContext } from './app-env.js';
import { headerText } from './header-text.js';
import { requestHeader } from './request-header.js';
import { validate } from './validate.js';

/** Name of the header, as it is documented. */
const NAME = 'Idempotency-Key';
const INVALID = `Must be 1 to ${MAX_KEY_LENGTH} printable characters.`;

/** The header as the OpenAPI document shows it and as it is validated. */
export const idempotencyHeaders = z.object({
  [NAME]: z
    .string()
    .min(1, INVALID)
    .max(MAX_KEY_LENGTH, INVALID)
    // A refinement, since JSON Schema patterns carry no `u` flag.
    .refine((key) => !/[\p{C}\p{Zl}\p{Zp}]/u.test(key), INVALID)
    .optional()
    .describe(
      'Makes it safe to send the request again: for 24 hours the same key with the same body, octet by octet, gets the same answer and nothing is stored again. 1 to 255 printable characters; keys are of one tenant, or of the admin token.',
    ),
});

/**
 * The request's key; undefined without one.
 *
 * @throws MailProxyError `validation_failed`
 */
export function idempotencyKey(c: AppContext): string | undefined {
  const value = requestHeader(c, NAME.toLowerCase());
  if (value === undefined) return undefined;
  return validate(idempotencyHeaders, { [NAME]: headerText(value) }, 'header')[NAME];
}

/** What tells one request from another: its body, and the tenant that is named beside it. */
export function requestHash(tenantId: string | undefined, body: Uint8Array): Buffer {
  // An id has no line break in it.
  return createHash('sha256')
    .update(`${tenantId ?? ''}\n`)
    .update(body)
    .digest();
}

import { MailProxyError } from '../../core/errors.js';
import type { AppContext, Middleware } from '../app-env.js';
import { idempotencyKey, requestHash } from '../idempotency-key.js';
import { parseJson } from '../json.js';
import { readBody } from '../read-body.js';
import { requestHeader } from '../request-header.js';

/** Bytes of a request body that are accepted when nothing is said: 16 MiB. */
export const DEFAULT_BODY_LIMIT = 16 * 1024 * 1024;

/** Options of {@link jsonBody}. */
export interface JsonBodyOptions {
  /** `none` leaves whatever was sent unread. */
  expects: 'none' | 'optional' | 'required';
  /** In bytes. */
  limit: number;
  takesIdempotencyKey?: boolean;
}

function hasBody(c: AppContext): boolean {
  const length = requestHeader(c, 'content-length');
  return (
    requestHeader(c, 'transfer-encoding') !== undefined ||
    (length === undefined ? c.req.raw.body !== null : length !== '0')
  );
}

function requireJsonType(contentType: string | undefined, encoding: string | undefined): void {
  const [type = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim().toLowerCase());
  const isUtf8 = parameters.every(
    (parameter) => !/^charset\s*=/.test(parameter) || /=\s*"?utf-?8"?$/.test(parameter),
  );
  const isPlain = encoding === undefined || encoding.trim().toLowerCase() === 'identity';
  if (type === 'application/json' && isUtf8 && isPlain) return;
  throw new MailProxyError(
    'unsupported_media_type',
    'The body has to be uncompressed JSON in UTF-8: send it with Content-Type: application/json.',
  );
}

/**
 * Makes the middleware that reads a JSON body.
 *
 * @throws MailProxyError `unsupported_media_type`, `body_too_large` or `invalid_json`; `validation_failed` for an `Idempotency-Key` that is none.
 */
export function jsonBody({ expects, limit, takesIdempotencyKey = false }: JsonBodyOptions): Middleware {
  return async function readJsonBody(c, next) {
    if (expects === 'required' || (expects === 'optional' && hasBody(c))) {
      // Refused before a large body is read for nothing.
      const key = takesIdempotencyKey ? idempotencyKey(c) : undefined;
      requireJsonType(requestHeader(c, 'content-type'), requestHeader(c, 'content-encoding'));
      const announced = requestHeader(c, 'content-length');
      const isChunked = requestHeader(c, 'transfer-encoding') !== undefined;
      const bytes = await readBody(c.req.raw, limit, { announced, isChunked });
      c.set('body', parseJson(bytes));
      if (key !== undefined) c.set('idempotency', { key, hash: requestHash(c.get('tenantId'), bytes) });
    }
    await next();
  };
}

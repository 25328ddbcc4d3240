import { createHash, randomUUID } from 'node:crypto';
import { Webhook } from 'standardwebhooks';
import type { Millis } from '../core/types.js';

/**
 * Headers by which an endpoint can tell that a call is ours (Standard Webhooks): the secret as it was given out, `whsec_` and base64;
 * one of another form is used as the bytes that it is.
 *
 * @param isReport - Whether the body carries reports: repeated as it is, it keeps its id, so that its reader can tell.
 */
export function signatureHeaders(
  secret: string,
  body: string,
  isReport: boolean,
  now: Millis,
): Record<string, string> {
  const id = `msg_${isReport ? createHash('sha256').update(body).digest('hex').slice(0, 32) : randomUUID()}`;
  const at = new Date(now);
  return {
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(now / 1000)),
    'webhook-signature': webhookOf(secret).sign(id, at, body),
  };
}

function webhookOf(secret: string): Webhook {
  try {
    return new Webhook(secret);
  } catch {
    return new Webhook(Buffer.from(secret, 'utf8'), { format: 'raw' });
  }
}

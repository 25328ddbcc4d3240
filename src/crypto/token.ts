import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

/** Longest token in bytes; longer ones are refused before they are hashed. */
export const MAX_TOKEN_BYTES = 512;

/** Makes a token of 256 random bits with a prefix by which scanners recognise it. */
export function generateToken(kind: 'admin' | 'tenant'): string {
  return `${kind === 'admin' ? 'mpa' : 'mpt'}_${randomBytes(32).toString('base64url')}`;
}

/** Makes a webhook signing secret in the form of Standard Webhooks (`whsec_` and base64). */
export function generateWebhookSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

/** Whether a string can be a token at all: 1 to 512 bytes of UTF-8. */
export function isTokenLength(token: string): boolean {
  // A UTF-16 length above the limit is already too long: the byte count is not computed for huge input.
  return token.length > 0 && token.length <= MAX_TOKEN_BYTES && Buffer.byteLength(token) <= MAX_TOKEN_BYTES;
}

/** SHA-256 of a token, lower-case hex: all that is ever stored of it. */
export function hashToken(token: string): string {
  return createHash('sha256').update(token, 'utf8').digest('hex');
}

/** Compares two hashes made by {@link hashToken} in constant time. */
export function equalHashes(a: string, b: string): boolean {
  const left = Buffer.from(a, 'utf8');
  const right = Buffer.from(b, 'utf8');
  return left.length === right.length && timingSafeEqual(left, right);
}

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';

const PREFIX = 'ENC:';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Length of an encryption key in bytes (AES-256). */
export const KEY_BYTES = 32;

/** Why a stored value could not be opened. It never carries the value. */
export class SecretBoxError extends Error {
  override readonly name = 'SecretBoxError';
}

/**
 * Encrypts a secret with AES-256-GCM under a fresh random nonce.
 *
 * @param key - 32 raw bytes.
 * @param plaintext - The secret, whatever it looks like: one that begins with `ENC:` is encrypted too.
 * @param additionalData - What the ciphertext is bound to; the same text is needed to open it.
 * @returns `ENC:<base64(nonce 12 + ciphertext + tag 16)>`.
 */
export function sealSecret(key: Buffer, plaintext: string, additionalData: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(additionalData, 'utf8'));
  const ciphertext = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()]);
  return PREFIX + Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]).toString('base64');
}

/**
 * Decrypts a value made by {@link sealSecret}.
 *
 * @throws SecretBoxError when the value is not of that form (it is then never taken for a password), or when
 * key, content or additional data differ.
 */
export function openSecret(key: Buffer, value: string, additionalData: string): string {
  if (!value.startsWith(PREFIX)) throw new SecretBoxError('the stored value is not encrypted');
  const encoded = value.slice(PREFIX.length);
  if (!BASE64.test(encoded)) throw new SecretBoxError('the stored value is not valid base64');
  const bytes = Buffer.from(encoded, 'base64');
  if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new SecretBoxError('the stored value is too short');
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
    authTagLength: TAG_BYTES,
  });
  decipher.setAAD(Buffer.from(additionalData, 'utf8'));
  decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES));
  try {
    const plain = Buffer.concat([
      decipher.update(bytes.subarray(NONCE_BYTES, bytes.length - TAG_BYTES)),
      decipher.final(),
    ]);
    return plain.toString('utf8');
  } catch {
    throw new SecretBoxError('the stored value does not open with this key in this place');
  }
}

/** A key's public name: the first 16 hex digits of HMAC-SHA256(key, "mail-proxy key id"). */
export function keyIdOf(key: Buffer): string {
  return createHmac('sha256', key).update('mail-proxy key id').digest('hex').slice(0, 16);
}

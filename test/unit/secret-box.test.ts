import { createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { keyIdOf, openSecret, SecretBoxError, sealSecret } from '../../src/crypto/secret-box.js';

const key = randomBytes(32);

describe('a sealed secret', () => {
  test('opens to what was sealed, whatever it looks like', () => {
    const text = fc.string({ unit: 'grapheme' });
    fc.assert(
      fc.property(text, text, (secret, aad) => {
        expect(openSecret(key, sealSecret(key, secret, aad), aad)).toBe(secret);
      }),
    );
  });

  test('pitfall 10: a password that begins with ENC: is sealed like any other', () => {
    const inner = sealSecret(key, 'inner', '');
    const sealed = sealSecret(key, inner, '');
    expect(sealed).not.toBe(inner);
    expect(openSecret(key, sealed, '')).toBe(inner);
  });

  test('has the documented form: ENC: and base64 of nonce 12, ciphertext, tag 16', () => {
    const bytes = Buffer.from(sealSecret(key, 'password', 'for this').slice(4), 'base64');
    expect(bytes).toHaveLength(12 + 8 + 16);
    const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12));
    decipher.setAAD(Buffer.from('for this'));
    decipher.setAuthTag(bytes.subarray(-16));
    expect(`${decipher.update(bytes.subarray(12, -16), undefined, 'utf8')}${decipher.final('utf8')}`).toBe(
      'password',
    );
  });

  test('never has the same nonce twice', () => {
    const nonces = Array.from({ length: 200 }, () => sealSecret(key, 'x', '').slice(4, 20));
    expect(new Set(nonces).size).toBe(200);
  });

  test('does not open when any byte of it, its key or its place differs', () => {
    const sealed = sealSecret(key, 'secret', 'here');
    const bytes = Buffer.from(sealed.slice(4), 'base64');
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(() => openSecret(key, `ENC:${changed.toString('base64')}`, 'here')).toThrow(SecretBoxError);
    }
    expect(() => openSecret(key, sealed, 'there')).toThrow(SecretBoxError);
    expect(() => openSecret(randomBytes(32), sealed, 'here')).toThrow(SecretBoxError);
  });
});

test.each([
  '',
  'plain password',
  'ENC:',
  'enc:QUJD',
  'ENC:****',
  'ENC:QUJD',
  'ENC:QUJD\n',
  `ENC:${'A'.repeat(36)}`,
])('pitfalls 9 and 12: what is not sealed is an error and never a password: %j', (stored) => {
  expect(() => openSecret(key, stored, '')).toThrow(SecretBoxError);
  expect(() => openSecret(key, stored, '')).not.toThrow(/plain|QUJD/);
});

test('the id of a key is the first 16 hex digits of its HMAC', () => {
  const whole = createHmac('sha256', key).update('mail-proxy key id').digest('hex');
  expect(keyIdOf(key)).toBe(whole.slice(0, 16));
});

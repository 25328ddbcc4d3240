import { expect, test } from 'vitest';
import {
  equalHashes,
  generateToken,
  generateWebhookSecret,
  hashToken,
  isTokenLength,
} from '../../src/crypto/token.js';

test('a generated token has 256 bits, a recognisable prefix, and is never the same', () => {
  expect(generateToken('admin')).toMatch(/^mpa_[A-Za-z0-9_-]{43}$/);
  expect(generateToken('tenant')).toMatch(/^mpt_[A-Za-z0-9_-]{43}$/);
  expect(generateToken('admin')).not.toBe(generateToken('admin'));
  expect(Buffer.from(generateWebhookSecret().replace(/^whsec_/, ''), 'base64')).toHaveLength(32);
});

test('pitfall 8: any string of 1 to 512 bytes can be a token, by bytes and not by characters', () => {
  expect(isTokenLength('')).toBe(false);
  expect(isTokenLength('x')).toBe(true);
  expect(isTokenLength('x'.repeat(512))).toBe(true);
  expect(isTokenLength('x'.repeat(513))).toBe(false);
  expect(isTokenLength('é'.repeat(256))).toBe(true);
  expect(isTokenLength('é'.repeat(257))).toBe(false);
});

test('hashes are SHA-256 and compare equal only to themselves', () => {
  expect(hashToken('secret')).toBe('2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b');
  expect(equalHashes(hashToken('a'), hashToken('a'))).toBe(true);
  expect(equalHashes(hashToken('a'), hashToken('b'))).toBe(false);
  expect(equalHashes(hashToken('a'), '')).toBe(false);
  expect(equalHashes(hashToken('a'), 'é'.repeat(64))).toBe(false);
});

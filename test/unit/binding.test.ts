import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  callbackAdditionalData,
  type PasswordBinding,
  passwordAdditionalData,
  webhookSecretAdditionalData,
} from '../../src/crypto/binding.js';

const to: PasswordBinding = {
  host: 'SMTP.example.com',
  port: 587,
  tls: 'starttls',
  user: 'u',
  tlsVerify: true,
  tlsCa: null,
};

describe('what a secret is bound to', () => {
  test('is written in the one form that existing databases were sealed with', () => {
    expect(passwordAdditionalData('acme', 'smtp1', to)).toBe(
      '["mp1","accounts","acme","smtp1","password","smtp.example.com",587,"starttls","u",true,""]',
    );
    expect(passwordAdditionalData('acme', 'smtp1', { ...to, tlsCa: 'PEM' })).toContain(
      `"${createHash('sha256').update('PEM').digest('hex')}"]`,
    );
    expect(
      callbackAdditionalData('acme', { baseUrl: 'https://a', syncPath: '/s', attachmentPath: '/t' }),
    ).toBe('["mp1","tenants","acme","acme","client_auth_secret","https://a","/s","/t"]');
    expect(webhookSecretAdditionalData('acme')).toBe('["mp1","tenants","acme","acme","webhook_secret"]');
  });

  test.each<[string, Partial<PasswordBinding>]>([
    ['host', { host: 'smtp.example.org' }],
    ['port', { port: 465 }],
    ['TLS mode', { tls: 'none' }],
    ['user', { user: 'v' }],
    ['verification', { tlsVerify: false }],
    ['authority', { tlsCa: 'PEM' }],
  ])('differs for another %s', (_, change) => {
    expect(passwordAdditionalData('acme', 'a', { ...to, ...change })).not.toBe(
      passwordAdditionalData('acme', 'a', to),
    );
  });

  test('keeps tenant and account apart however they are spelt', () => {
    expect(passwordAdditionalData('a', 'b","c', to)).not.toBe(passwordAdditionalData('a","b', 'c', to));
  });
});

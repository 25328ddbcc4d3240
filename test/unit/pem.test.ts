import { expect, test } from 'vitest';
import { problemWithCertificates } from '../../src/core/pem.js';
import { testCertificates } from '../support/certificates.js';

test('a bundle of certificates may have comments between them', async () => {
  const { caPem, valid } = await testCertificates();
  expect(problemWithCertificates(caPem)).toBeUndefined();
  expect(problemWithCertificates(`# first\n${caPem}# second\r\n${valid.certPem}`)).toBeUndefined();
});

test('every certificate must be readable, not only the first', async () => {
  const { caPem } = await testCertificates();
  const unreadable = 'One of the certificates cannot be read.';
  expect(problemWithCertificates(caPem + caPem.replace(/MII/, 'AAA'))).toBe(unreadable);
  expect(problemWithCertificates(caPem + caPem.replace(/MII/, '***'))).toBe(unreadable);
  expect(problemWithCertificates(`${caPem}-----BEGIN CERTIFICATE-----\nMII`)).toBe(unreadable);
});

test('what is no certificate, a private key, or too large is said to be that', async () => {
  const { valid } = await testCertificates();
  expect(problemWithCertificates('hello')).toMatch(/no PEM certificate/);
  expect(problemWithCertificates(valid.certPem + valid.keyPem)).toMatch(/private key/);
  expect(problemWithCertificates('x'.repeat(256 * 1024 + 1))).toMatch(/256 KiB/);
});

import { X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import { expect, test } from 'vitest';
import { makeCertificateAuthority } from '../../src/services/demo-certificate.js';

test('the authority issues certificates that hold for names and addresses, and only for those', async () => {
  const authority = await makeCertificateAuthority();
  const notAfter = new Date('2051-02-03T04:05:06Z');
  const { keyPem, certPem } = await authority.issue(['localhost', '127.0.0.1', '::1'], { notAfter });
  const ca = new X509Certificate(authority.caPem);
  const leaf = new X509Certificate(certPem);
  expect(ca.ca).toBe(true);
  expect(leaf.ca).toBe(false);
  expect(leaf.checkIssued(ca)).toBe(true);
  expect(leaf.verify(ca.publicKey)).toBe(true);
  expect(leaf.checkHost('localhost')).toBe('localhost');
  expect(leaf.checkHost('example.com')).toBeUndefined();
  expect(leaf.checkIP('127.0.0.1')).toBe('127.0.0.1');
  expect(leaf.checkIP('::1')).toBe('::1');
  expect(new Date(leaf.validTo)).toEqual(notAfter);
  expect(() => createSecureContext({ key: keyPem, cert: certPem })).not.toThrow();
});

test('two authorities do not vouch for one another', async () => {
  const [one, two] = [await makeCertificateAuthority(), await makeCertificateAuthority()];
  const leaf = new X509Certificate((await one.issue(['localhost'])).certPem);
  expect(leaf.verify(new X509Certificate(two.caPem).publicKey)).toBe(false);
});

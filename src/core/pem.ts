import { X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

/** Largest accepted bundle of certificates, in characters. */
const MAX_PEM = 256 * 1024;

/**
 * Says what is wrong with a PEM bundle of certificates.
 *
 * @returns A sentence, or undefined when every certificate in it can be read.
 */
export function problemWithCertificates(pem: string): string | undefined {
  if (pem.length > MAX_PEM) return 'The certificates are larger than 256 KiB.';
  if (/PRIVATE KEY-----/.test(pem))
    return 'This holds a private key: give the certificate of the authority only.';
  const blocks = pem.match(BLOCK);
  if (blocks === null) return 'This is no PEM certificate: it must hold "-----BEGIN CERTIFICATE-----".';
  // A damaged one does not look like a block at all: left out silently, it would be missed only when it is needed.
  if (blocks.length !== pem.split('-----BEGIN ').length - 1) return 'One of the certificates cannot be read.';
  for (const block of blocks) {
    try {
      new X509Certificate(block);
    } catch {
      return 'One of the certificates cannot be read.';
    }
  }
  return undefined;
}

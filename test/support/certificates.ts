import {
  type CertificateAuthority,
  type IssuedCertificate,
  makeCertificateAuthority,
} from '../../src/services/demo-certificate.js';

/** Certificates of every kind a client meets, all for a server on the loopback address. */
export interface TestCertificates {
  caPem: string;
  authority: CertificateAuthority;
  /** For localhost and 127.0.0.1. */
  valid: IssuedCertificate;
  /** For localhost by name only: wrong when the address is dialled. */
  nameOnly: IssuedCertificate;
  expired: IssuedCertificate;
  wrongHost: IssuedCertificate;
  selfSigned: IssuedCertificate;
  /** Valid, but of an authority that nobody was told of. */
  unknownCa: IssuedCertificate;
}

const DAY = 86_400_000;
let cached: Promise<TestCertificates> | undefined;

/** Makes the certificates once for each test file. */
export function testCertificates(): Promise<TestCertificates> {
  cached ??= make();
  return cached;
}

async function make(): Promise<TestCertificates> {
  const authority = await makeCertificateAuthority();
  const other = await makeCertificateAuthority();
  const here = ['localhost', '127.0.0.1'];
  const past = { notBefore: new Date(Date.now() - 2 * DAY), notAfter: new Date(Date.now() - DAY) };
  return {
    caPem: authority.caPem,
    authority,
    valid: await authority.issue(here),
    nameOnly: await authority.issue(['localhost']),
    expired: await authority.issue(here, past),
    wrongHost: await authority.issue(['mail.example.net', '192.0.2.1']),
    selfSigned: await authority.selfSign(here),
    unknownCa: await other.issue(here),
  };
}

// The library needs this polyfill to be loaded before it.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';

/** A certificate and its private key, both PEM. */
export interface IssuedCertificate {
  keyPem: string;
  certPem: string;
}

/** When a certificate is valid; from an hour ago to a day from now when left out. */
interface Validity {
  notBefore?: Date;
  notAfter?: Date;
}

/** An authority that exists only in this process: its key is never written down. */
export interface CertificateAuthority {
  /** The authority's own certificate: whoever is given it trusts what the authority issues. */
  caPem: string;
  /** Issues a server certificate for host names and IP addresses (RFC 5280, section 4.2.1.6). */
  issue(hostnames: string[], validity?: Validity): Promise<IssuedCertificate>;
  /** Makes a certificate that vouches for itself, which no authority ever saw. */
  selfSign(hostnames: string[]): Promise<IssuedCertificate>;
}

type KeyPair = x509.X509CertificateCreateSelfSignedParams['keys'];

const HOUR = 3_600_000;
const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const CA_NAME = 'CN=mail-proxy demonstration CA';
const SERVER_NAME = 'CN=mail-proxy demonstration';

/** Makes a certificate authority with a fresh P-256 key, for the demo's own SMTP server and for tests. */
export async function makeCertificateAuthority(): Promise<CertificateAuthority> {
  const crypto = webcrypto as unknown as Parameters<typeof x509.cryptoProvider.set>[0];
  x509.cryptoProvider.set(crypto);
  const keys = await generateKeys();
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    name: CA_NAME,
    keys,
    signingAlgorithm: P256,
    ...period({}),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    caPem: `${authority.toString('pem')}\n`,
    async issue(hostnames, validity = {}) {
      const own = await generateKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        subject: SERVER_NAME,
        issuer: authority.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: P256,
        ...period(validity),
        extensions: [
          ...serverExtensions(hostnames),
          await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        ],
      });
      return issued(certificate, own);
    },
    async selfSign(hostnames) {
      const own = await generateKeys();
      const certificate = await x509.X509CertificateGenerator.createSelfSigned({
        name: SERVER_NAME,
        keys: own,
        signingAlgorithm: P256,
        ...period({}),
        extensions: serverExtensions(hostnames),
      });
      return issued(certificate, own);
    },
  };
}

async function generateKeys(): Promise<KeyPair> {
  return (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as KeyPair;
}

function period({ notBefore, notAfter }: Validity): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: notBefore ?? new Date(now - HOUR), notAfter: notAfter ?? new Date(now + 24 * HOUR) };
}

/** No CA, for digital signatures, for TLS servers, and for these names. */
function serverExtensions(hostnames: string[]): x509.Extension[] {
  const names = hostnames.map((value) => ({ type: isIP(value) ? ('ip' as const) : ('dns' as const), value }));
  return [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
    new x509.SubjectAlternativeNameExtension(names),
  ];
}

async function issued(certificate: x509.X509Certificate, keys: KeyPair): Promise<IssuedCertificate> {
  const key = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey as never);
  return {
    certPem: `${certificate.toString('pem')}\n`,
    keyPem: `${x509.PemConverter.encode(key, 'PRIVATE KEY')}\n`,
  };
}

import { isIP } from 'node:net';
import type { SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import { MailProxyError } from '../core/errors.js';
import type { Millis, TlsMode } from '../core/types.js';
import type { DestinationGuard } from './destination-guard.js';

/** Everything a connection to an SMTP server depends on, with its password in clear. */
export interface SmtpEndpoint {
  /** Host name or IP address, an IPv6 address with or without brackets. */
  host: string;
  port: number;
  tls: TlsMode;
  /** Whether the server's certificate must be valid for `host`. */
  tlsVerify: boolean;
  /** PEM of the certificate authorities to trust instead of the system's. */
  tlsCa: string | null;
  user: string | null;
  password: string | null;
  /** Set where a tenant chose the host: decides which address may be dialled. */
  guard?: DestinationGuard;
}

/** How long a server may take, in milliseconds. */
export interface SmtpTimeouts {
  /** From the DNS lookup to the end of the handshake. */
  connect: Millis;
  /** Until the greeting has arrived. */
  greeting: Millis;
  /** Silence on an open connection: longer than the 10 minutes that RFC 5321, 4.5.3.2.6 allows after the final dot. */
  socket: Millis;
  /** The whole of opening a session, however lively the server is. */
  open: Millis;
  /** The whole of a transaction, however lively the server is; long bodies get more. */
  send: Millis;
  /** The answer to QUIT. */
  quit: Millis;
}

/** The timeouts of production. */
export const SMTP_TIMEOUTS: Readonly<SmtpTimeouts> = {
  connect: 30_000,
  greeting: 30_000,
  socket: 11 * 60_000,
  open: 2 * 60_000,
  send: 15 * 60_000,
  quit: 2_000,
};

/** Largest single reply that is read, in bytes: more than any real one, less than what hurts. */
const MAX_RESPONSE_SIZE = 64 * 1024;

/**
 * Makes nodemailer's connection options. `none` never upgrades even when STARTTLS is offered, `starttls` never goes on
 * without it, TLS 1.2 is the least in both TLS modes, and nothing is logged, because a log would hold credentials.
 * @param hello - Name for EHLO; this machine's own when left out.
 * @param dial - The address to connect to; the host's own when left out. The certificate is checked for the host either way.
 * @throws MailProxyError `validation_failed` when `hello` could carry more than a name (RFC 5321, section 4.1.3).
 */
export function smtpConnectionOptions(
  endpoint: SmtpEndpoint,
  hello?: string,
  timeouts: SmtpTimeouts = SMTP_TIMEOUTS,
  dial?: string,
): SMTPConnectionOptions {
  if (hello !== undefined && !/^[A-Za-z0-9.:_[\]-]{1,255}$/.test(hello)) {
    throw new MailProxyError(
      'validation_failed',
      'The EHLO name must be a host name or an address in brackets.',
    );
  }
  const host = endpoint.host.replace(/^\[(.*)\]$/, '$1');
  return {
    host: dial ?? host,
    port: endpoint.port,
    secure: endpoint.tls === 'ssl',
    requireTLS: endpoint.tls === 'starttls',
    ignoreTLS: endpoint.tls === 'none',
    opportunisticTLS: false,
    ...(hello === undefined ? {} : { name: hello }),
    tls: {
      minVersion: 'TLSv1.2',
      rejectUnauthorized: endpoint.tlsVerify,
      ...(endpoint.tlsCa === null ? {} : { ca: endpoint.tlsCa }),
      // An address is no SNI name (RFC 6066, section 3); Node then checks it against the certificate's IP entries.
      ...(isIP(host) ? {} : { servername: host }),
    },
    connectionTimeout: timeouts.connect,
    greetingTimeout: timeouts.greeting,
    dnsTimeout: timeouts.connect,
    socketTimeout: timeouts.socket,
    // Closing means now: an unfinished message must never be finished by bytes that were still on their way.
    socketCloseTimeout: 0,
    maxResponseSize: MAX_RESPONSE_SIZE,
    logger: false,
    debug: false,
    transactionLog: false,
  };
}

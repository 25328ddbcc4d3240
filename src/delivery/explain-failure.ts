import type { SmtpFailure } from '../core/smtp-outcome.js';
import type { SmtpEndpoint } from './smtp-options.js';

/** Codes of OpenSSL that mean: nobody this machine trusts vouches for the certificate. */
const UNKNOWN_CA: ReadonlySet<string> = new Set([
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
]);

/** Codes of an old or foreign protocol version, from either side. */
const TLS_TOO_OLD = /UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|VERSION_TOO_LOW/;

/** The address of a server, and how it was to be protected; no more than this of an endpoint is ever said. */
export type FailureAddress = Pick<SmtpEndpoint, 'host' | 'port'> & Partial<Pick<SmtpEndpoint, 'tls'>>;

/**
 * Says in a sentence or two, for a person, what went wrong with an SMTP server and what to do. Holds the server's own
 * printable words where it gave some, and never a credential.
 */
export function explainFailure(failure: SmtpFailure, address: FailureAddress): string {
  const { host, port } = address;
  const server = `${host}:${port}`;
  const cause = failure.causeCode ?? '';
  if (cause === 'ABORT_ERR') return `Talking to ${server} was stopped before it was done.`;
  if (failure.isLocalRefusal) return explainLocalRefusal(cause, server);
  switch (failure.step) {
    case 'dns':
      if (cause === 'DESTINATION_REFUSED') {
        return `${host} is on a private network, which a tenant may not have mail sent to: ask the operator to allow it (MAIL_PROXY_ALLOW_PRIVATE).`;
      }
      return `The name ${host} cannot be resolved (${cause || 'no answer'}); check the host name and this machine's DNS.`;
    case 'connect':
      return explainConnect(cause, server);
    case 'tls':
      return explainTls(cause, address, server);
    case 'greeting':
      return explainGreeting(failure, server);
    case 'starttls':
      return explainStartTls(failure, server);
    case 'auth':
      return explainAuth(failure, server);
    case 'ehlo':
      return `${server} did not accept the EHLO greeting${said(failure)}`;
    default:
      return explainTransaction(failure, server);
  }
}

function explainLocalRefusal(cause: string, server: string): string {
  if (cause === 'MESSAGE_TOO_LARGE')
    return `The message is larger than ${server} accepts; it was not offered.`;
  if (cause === 'SMTPUTF8_REQUIRED') {
    return `An address has non-ASCII characters and ${server} does not offer SMTPUTF8; use an ASCII address.`;
  }
  return 'An envelope address is empty, too long, or holds characters that no address may; the message was not offered.';
}

function explainConnect(cause: string, server: string): string {
  if (cause === 'ECONNREFUSED') {
    return `Nothing accepts connections at ${server} (connection refused); check host and port, and that the server runs.`;
  }
  if (cause === 'ETIMEDOUT') {
    return `No connection to ${server} in time; check host and port, and whether a firewall drops the connection.`;
  }
  return `No connection to ${server} (${cause || 'unknown cause'}); check host, port and network.`;
}

function explainTls(cause: string, { host, tls }: FailureAddress, server: string): string {
  const certificate = `The certificate of ${server}`;
  const giveCa = 'give its certificate with --tls-ca FILE.';
  if (cause === 'DEPTH_ZERO_SELF_SIGNED_CERT') {
    return `${certificate} is self-signed and not trusted by this machine; if it is the right one, ${giveCa}`;
  }
  if (UNKNOWN_CA.has(cause)) return `${certificate} is signed by a CA this machine does not trust; ${giveCa}`;
  if (cause === 'CERT_HAS_EXPIRED') return `${certificate} has expired; it must be renewed on the server.`;
  if (cause === 'CERT_NOT_YET_VALID')
    return `${certificate} is not valid yet; check the clocks of both machines.`;
  if (cause === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `${certificate} is not for ${host}; use a host name that the certificate names.`;
  }
  if (cause === 'ERR_SSL_WRONG_VERSION_NUMBER' || cause === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    if (tls === 'starttls')
      return `${server} agreed to STARTTLS but did not answer in TLS; nothing was sent.`;
    return `${server} does not speak TLS from the first byte; use --tls starttls, or the port for TLS (often 465).`;
  }
  if (TLS_TOO_OLD.test(cause)) {
    return `${server} does not speak TLS 1.2 or newer, which is the least that is accepted; update the server.`;
  }
  if (cause === 'ETIMEDOUT') return `${server} did not finish the TLS handshake in time.`;
  return `The TLS handshake with ${server} failed (${cause || 'unknown cause'}).`;
}

function explainGreeting(failure: SmtpFailure, server: string): string {
  if (failure.code !== null) return `${server} refused the connection${said(failure)}`;
  const hint = 'Check the port; if it expects TLS from the first byte (often 465), use --tls ssl.';
  if (failure.reply !== '') return `${server} does not speak SMTP${said(failure)} ${hint}`;
  const what =
    failure.causeCode === 'ETIMEDOUT' ? 'sent no SMTP greeting in time' : 'closed without an SMTP greeting';
  return `${server} ${what}. ${hint}`;
}

function explainStartTls(failure: SmtpFailure, server: string): string {
  if (failure.code === null) {
    return `${server} ended the connection instead of starting TLS; nothing was sent.`;
  }
  return (
    `${server} offers no STARTTLS; nothing was sent. Use --tls ssl if it has a port for TLS (often 465), ` +
    'or --tls none only on a network you trust.'
  );
}

function explainAuth(failure: SmtpFailure, server: string): string {
  if (failure.causeCode === 'AUTH_NOT_OFFERED') {
    return (
      `${server} offers no login (AUTH PLAIN, LOGIN or CRAM-MD5), yet the account has a user; nothing was sent. ` +
      'Remove the user, or use the port or TLS mode on which the server offers it.'
    );
  }
  if (failure.causeCode === 'CREDENTIALS_INCOMPLETE') {
    return `The account for ${server} has a user without a password or a password without a user; set both or none.`;
  }
  if (failure.code === null) return `${server} ended the connection during the login; nothing was sent.`;
  if (failure.code < 500) return `${server} could not check the login just now${said(failure)}`;
  return `${server} refused the login${said(failure)} Check user and password.`;
}

function explainTransaction(failure: SmtpFailure, server: string): string {
  if (failure.code !== null) {
    const what = { mail: 'the sender', rcpt: 'the recipient' }[failure.step as string] ?? 'the message';
    return `${server} refused ${what}${said(failure)}`;
  }
  if (failure.bodyStarted) {
    return `The connection to ${server} ended while the message was handed over; it may or may not have been accepted.`;
  }
  const how = failure.causeCode === 'ETIMEDOUT' ? 'fell silent' : 'ended';
  return `The connection to ${server} ${how} before the message was handed over.`;
}

function said({ reply }: SmtpFailure): string {
  return reply === '' ? '.' : `: "${reply}".`;
}

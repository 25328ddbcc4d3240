import type { LocalRefusal } from '../core/smtp-outcome.js';
import type { Envelope } from '../core/types.js';

/** Longest address accepted, in bytes: 64 of local part, `@`, and 255 of domain (RFC 5321, section 4.5.3.1). */
const MAX_ADDRESS_BYTES = 320;

/** What would end a command line or the angle brackets of a path, or split it into ESMTP parameters. */
const UNSAFE_IN_PATH = /[\p{Cc}\p{Z}\p{Cs}<>]/u;

/**
 * Checks, as the last thing before the wire, that no address can say more to the server than an address: no CR, LF,
 * white space or angle bracket, and no non-ASCII where the server does not offer SMTPUTF8 (RFC 6531).
 * @returns why the envelope must not be sent, or null.
 */
export function refuseEnvelope(envelope: Envelope, hasSmtpUtf8: boolean): LocalRefusal | null {
  if (envelope.to.length === 0) return 'ADDRESS_INVALID';
  const addresses = envelope.from === '' ? envelope.to : [envelope.from, ...envelope.to];
  for (const address of addresses) {
    const isLongOrEmpty = address === '' || Buffer.byteLength(address) > MAX_ADDRESS_BYTES;
    if (isLongOrEmpty || UNSAFE_IN_PATH.test(address)) return 'ADDRESS_INVALID';
  }
  const isAscii = addresses.every((address) => Buffer.byteLength(address) === address.length);
  return isAscii || hasSmtpUtf8 ? null : 'SMTPUTF8_REQUIRED';
}

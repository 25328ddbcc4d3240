import { domainToASCII } from 'node:url';
import { MailProxyError } from './errors.js';
import { excerpt } from './excerpt.js';

/** Longest local part in octets (RFC 5321, 4.5.3.1.1). */
const MAX_LOCAL = 64;
/** Longest domain in octets (RFC 5321, 4.5.3.1.2, less the trailing dot). */
const MAX_DOMAIN = 253;
/** Longest address in octets: a path of 256 less its angle brackets (RFC 5321, 4.5.3.1.3). */
const MAX_ADDRESS = 254;

const DOT_ATOM = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*$/;
const LDH_LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;
const ASCII_OUTSIDE_LDH = /[\0-,/:-@[-`{-\x7f]/;
const ANY_CONTROL = /\p{Cc}/u;
const NON_ASCII = /[^\0-\x7f]/;

function refuse(text: string, why: string): never {
  throw new MailProxyError(
    'validation_failed',
    `${excerpt(text)} is not an address that can be used: ${why}.`,
  );
}

/**
 * Checks a domain and returns it in lower case, an internationalised one as A-labels (RFC 5890). Each label is letters, digits and
 * inner hyphens; address literals, dotted quads, empty labels and a trailing dot are refused.
 *
 * @throws MailProxyError `validation_failed`
 */
export function parseDomain(text: string): string {
  if (text.length > MAX_DOMAIN) refuse(text, `its domain is longer than ${MAX_DOMAIN} octets`);
  if (text.startsWith('[')) refuse(text, 'an IP address in brackets is not accepted as a domain');
  // domainToASCII reads its input as a URL host: it decodes %41 and stops at a slash, so nothing of the kind gets there.
  if (ASCII_OUTSIDE_LDH.test(text)) refuse(text, 'a domain is letters, digits, hyphens and dots only');
  const international = NON_ASCII.test(text) || /(?:^|\.)xn--/i.test(text);
  const domain = international ? domainToASCII(text) : text.toLowerCase();
  const labels = domain.split('.');
  if (domain === '' || !labels.every((label) => LDH_LABEL.test(label))) {
    refuse(text, 'its domain is not a valid host name');
  }
  if (domain.length > MAX_DOMAIN) refuse(text, `its domain is longer than ${MAX_DOMAIN} octets`);
  // A last label made of digits, or of hex digits after 0x, is read as an IPv4 address by resolvers and URL parsers.
  if (/^(?:\d+|0x[\da-f]*)$/.test(labels[labels.length - 1] ?? '')) {
    refuse(text, 'an IP address is not accepted as a domain');
  }
  return domain;
}

/**
 * Checks one bare address (`local@domain`, RFC 5321 Mailbox without its quoted and literal forms) and returns it with the
 * domain in lower-case A-labels. Refused: quoted local parts, comments, source routes, ESMTP parameters, white
 * space, controls and non-ASCII local parts (they need SMTPUTF8, which few servers offer). What is returned is
 * safe to write between the angle brackets of MAIL and RCPT.
 *
 * @throws MailProxyError `validation_failed`, with a sentence that repeats at most 80 sanitised characters
 */
export function parseAddress(text: string): string {
  if (text === '')
    throw new MailProxyError('validation_failed', 'The address is empty: give one as name@example.com.');
  if (text.length > 2 * MAX_ADDRESS) refuse(text, `it is longer than ${MAX_ADDRESS} octets`);
  if (ANY_CONTROL.test(text)) refuse(text, 'it holds a control character');
  if (/\s/.test(text)) refuse(text, 'it holds white space');
  if (text.startsWith('"')) refuse(text, 'a quoted local part is not accepted');
  if (text.startsWith('@')) refuse(text, 'the part before the @ is missing, or it is a source route');
  const at = text.indexOf('@');
  if (at < 0) refuse(text, 'it has no @');
  const local = text.slice(0, at);
  if (NON_ASCII.test(local)) refuse(text, 'the part before the @ must be ASCII');
  if (local.length > MAX_LOCAL) refuse(text, `the part before the @ is longer than ${MAX_LOCAL} octets`);
  if (!DOT_ATOM.test(local))
    refuse(text, 'the part before the @ holds a character or a dot that is not allowed there');
  const domain = text.slice(at + 1);
  if (domain === '') refuse(text, 'the domain after the @ is missing');
  if (domain.includes('@')) refuse(text, 'it has more than one @');
  const address = `${local}@${parseDomain(domain)}`;
  if (address.length > MAX_ADDRESS) refuse(text, `it is longer than ${MAX_ADDRESS} octets`);
  return address;
}

/** The domain of an address that has passed {@link parseAddress}. */
export function domainOf(address: string): string {
  return address.slice(address.lastIndexOf('@') + 1);
}

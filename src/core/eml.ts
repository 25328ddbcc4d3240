import { randomUUID } from 'node:crypto';
import { type EnvelopeFlags, envelopeOfHeader } from './eml-envelope.js';
import { decodeWords } from './encoded-word.js';
import { MailProxyError } from './errors.js';
import { type HeaderField, parseHeaderBlock } from './header-block.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_SIZE } from './limits.js';
import { normalizeLineEnds } from './line-ends.js';
import { formatRfc5322 } from './time.js';
import type { Envelope, Millis } from './types.js';

/** Longest subject that is kept for lists, in UTF-16 units. */
const MAX_SUBJECT = 1000;
const HIDDEN = new Set(['bcc', 'resent-bcc']);
const CORRELATION = 'X-Genro-Mail-ID';
const SINGLE = ['from', 'sender'];

/** What the caller says beside the message. */
interface EmlFlags extends EnvelopeFlags {
  /** Value of the `X-Genro-Mail-ID` field, by which bounces are matched; it replaces any that the message has. */
  correlation?: string | undefined;
}

/** A ready-made message that may be handed to a server, and what was done to it. */
export interface PreparedEml {
  envelope: Envelope;
  /** CRLF line ends only, and never a Bcc field. */
  bytes: Buffer;
  /** Value of the Message-ID field. */
  messageId: string;
  /** Subject for people, encoded-words decoded. */
  subject: string;
  /** Names of the fields that RFC 5322 requires and the message lacked: they were put at its top. */
  added: string[];
}

/** Drops what tools leave before a message and that is no part of it: a byte order mark and the `From ` line of an mbox. */
function withoutPreamble(bytes: Buffer): Buffer {
  const text = bytes.subarray(bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0);
  if (text.subarray(0, 5).toString('latin1') !== 'From ') return text;
  const end = text.indexOf('\r\n');
  return end < 0 ? text : text.subarray(end + 2);
}

function refuseDuplicates(fields: readonly HeaderField[]): void {
  const name = SINGLE.find((single) => fields.filter((field) => field.name === single).length > 1);
  if (name === undefined) return;
  throw new MailProxyError('validation_failed', `The message has more than one ${name} header: keep one.`);
}

/** Fields that RFC 5322 (3.6) requires and that are missing, in the order in which they are put at the top. */
function missingFields(
  fields: readonly HeaderField[],
  envelope: Envelope,
  now: Millis,
): Array<[string, string]> {
  const has = (name: string): boolean => fields.some((field) => field.name === name && field.value !== '');
  const missing: Array<[string, string]> = [];
  if (!has('from')) {
    if (envelope.from === '') {
      throw new MailProxyError(
        'validation_failed',
        'The message has no From header, and the null sender cannot stand in for it.',
      );
    }
    missing.push(['From', envelope.from]);
  }
  if (!has('date')) missing.push(['Date', formatRfc5322(now)]);
  if (!has('message-id')) {
    const author = fields.find((field) => field.name === 'from')?.value ?? envelope.from;
    const domain = /@([A-Za-z0-9.-]{1,180})>?$/.exec(author)?.[1] ?? 'localhost';
    missing.push(['Message-ID', `<${randomUUID()}@${domain}>`]);
  }
  return missing;
}

/**
 * Prepares a ready-made RFC 5322 message for delivery. Its octets go out as they are, 8-bit ones too, except that every
 * line end becomes CRLF, Bcc and Resent-Bcc fields are removed (their addresses stay in the envelope), an empty
 * Date or Message-ID is replaced, and a missing Date, Message-ID or (with a stated sender) From is put at the top.
 *
 * @param now - Unix milliseconds of a Date field that has to be added
 * @throws MailProxyError `validation_failed` for NUL, for a header that cannot be read, a second From or Sender, no sender, no
 *   recipient; `body_too_large` over 50 MiB
 */
export function prepareEml(bytes: Buffer, flags: EmlFlags = {}, now: Millis = Date.now()): PreparedEml {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new MailProxyError('body_too_large', `The message is larger than ${MAX_MESSAGE_SIZE}.`);
  }
  if (bytes.includes(0)) {
    throw new MailProxyError(
      'validation_failed',
      'The message holds a NUL octet, which SMTP cannot carry: encode that part.',
    );
  }
  const { fields, body } = parseHeaderBlock(withoutPreamble(normalizeLineEnds(bytes)));
  refuseDuplicates(fields);
  const envelope = envelopeOfHeader(fields, flags);
  const missing = missingFields(fields, envelope, now);
  const correlation: Array<[string, string]> =
    // Encoded-words of a long id are folded, one a line.
    flags.correlation === undefined ? [] : [[CORRELATION, flags.correlation.replaceAll(' ', '\r\n ')]];
  const added = [...missing, ...correlation];
  const replaced = new Set(added.map(([name]) => name.toLowerCase()));
  const kept = fields.filter((field) => !HIDDEN.has(field.name) && !replaced.has(field.name));
  const top = added.map(([name, value]) => Buffer.from(`${name}: ${value}\r\n`));
  const end = body.length > 0 && body[body.length - 1] !== 10 ? '\r\n' : '';
  const firstValue = (name: string): string | undefined => fields.find((field) => field.name === name)?.value;
  return {
    envelope,
    bytes: Buffer.concat([
      ...top,
      ...kept.map((field) => field.octets),
      Buffer.from('\r\n'),
      body,
      Buffer.from(end),
    ]),
    messageId: missing.find(([name]) => name === 'Message-ID')?.[1] ?? firstValue('message-id') ?? '',
    subject: decodeWords(firstValue('subject') ?? '').slice(0, MAX_SUBJECT),
    added: missing.map(([name]) => name),
  };
}

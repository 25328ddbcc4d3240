import { MailProxyError } from './errors.js';
import { excerpt } from './excerpt.js';

/** Longest field name in octets. */
const MAX_NAME = 76;
/** Longest field value in UTF-16 units, before folding. */
const MAX_VALUE = 8192;
/** Longest run without white space: folding cannot break it, and a line may not pass 998 octets (RFC 5322, 2.1.1). */
const MAX_WORD = 900;

const FTEXT = /^[!-9;-~]+$/;
const LONG_WORD = new RegExp(`[^ \\t]{${MAX_WORD + 1}}`);

/** Fields that come from other parts of a message, or that only a mail server may write. */
const RESERVED_NAMES = new Set([
  'from',
  'to',
  'cc',
  'bcc',
  'sender',
  'reply-to',
  'subject',
  'date',
  'message-id',
  'mime-version',
  'return-path',
  'received',
  'received-spf',
  'delivered-to',
  'dkim-signature',
  'domainkey-signature',
  'authentication-results',
  'x-genro-mail-id',
]);
const RESERVED_PREFIXES = ['content-', 'resent-', 'arc-'];

/** Whether text holds CR, LF, NUL, DEL or any other C0 or C1 control, TAB excepted: nothing of the kind may enter a header. */
export function hasHeaderControl(text: string): boolean {
  return /[^\P{Cc}\t]/u.test(text);
}

/** Whether this is a field name by RFC 5322 (ftext: printable ASCII without colon and space) of at most 76 octets. */
export function isHeaderName(name: string): boolean {
  return name.length <= MAX_NAME && FTEXT.test(name);
}

/** Whether a caller may not set this field through `headers`, because it is made from other fields or by servers. */
export function isReservedHeader(name: string): boolean {
  const lower = name.toLowerCase();
  return RESERVED_NAMES.has(lower) || RESERVED_PREFIXES.some((prefix) => lower.startsWith(prefix));
}

/**
 * Checks an unstructured header value and returns it without surrounding white space.
 *
 * @param what - what the sentence calls it, such as `The subject`
 * @throws MailProxyError `validation_failed`; the value is not repeated
 */
export function parseHeaderValue(what: string, value: string): string {
  if (value.length > MAX_VALUE) {
    throw new MailProxyError('validation_failed', `${what} is longer than ${MAX_VALUE} characters.`);
  }
  if (hasHeaderControl(value)) {
    throw new MailProxyError('validation_failed', `${what} holds a line break or another control character.`);
  }
  if (LONG_WORD.test(value)) {
    throw new MailProxyError(
      'validation_failed',
      `${what} holds more than ${MAX_WORD} characters without a space, which no header line can carry.`,
    );
  }
  return value.trim();
}

/**
 * Checks the additional headers of a message, an object from name to value, and returns them in order.
 *
 * @throws MailProxyError `validation_failed` for a name that is malformed, reserved or given twice, and for a bad value
 */
export function parseHeaders(
  headers: Readonly<Record<string, string>>,
): Array<{ key: string; value: string }> {
  const seen = new Set<string>();
  return Object.entries(headers).map(([key, value]) => {
    if (!isHeaderName(key)) {
      throw new MailProxyError('validation_failed', `${excerpt(key)} is not a header name (RFC 5322).`);
    }
    if (isReservedHeader(key)) {
      throw new MailProxyError(
        'validation_failed',
        `The header ${key} cannot be set through headers: it is made from the message's own fields or by mail servers.`,
      );
    }
    const lower = key.toLowerCase();
    if (seen.has(lower)) throw new MailProxyError('validation_failed', `The header ${key} is given twice.`);
    seen.add(lower);
    return { key, value: parseHeaderValue(`The header ${key}`, value) };
  });
}

import { MailProxyError } from './errors.js';

/** One header field as it stands in a message: `octets` holds its lines with their CRLFs, `value` is unfolded. */
export interface HeaderField {
  name: string;
  value: string;
  octets: Buffer;
}

/** Longest line in octets without its CRLF (RFC 5322, 2.1.1). */
const MAX_LINE = 998;
/** Largest header in octets: real ones stay below 100 kB. */
const MAX_HEADER = 1024 * 1024;
const FIELD = /^([!-9;-~]+):/;
const CRLF = Buffer.from('\r\n');

function refuse(line: number, why: string): never {
  throw new MailProxyError('validation_failed', `Line ${line} of the message's header ${why}.`);
}

/**
 * Splits a message whose line ends are all CRLF into its header fields and its body. A message without the empty line
 * has no body. Lines of white space alone inside the header are dropped: readers disagree on whether they end it.
 *
 * @throws MailProxyError `validation_failed`, naming the line that is no header field, holds a control character or is
 *   longer than 998 octets, or saying that there is no header
 */
export function parseHeaderBlock(bytes: Buffer): { fields: HeaderField[]; body: Buffer } {
  const drafts: Array<{ name: string; values: string[]; lines: Buffer[] }> = [];
  let at = 0;
  for (let line = 1; at < bytes.length; line++) {
    const end = bytes.indexOf(CRLF, at);
    const next = end < 0 ? bytes.length : end + 2;
    const octets = bytes.subarray(at, end < 0 ? bytes.length : end);
    at = next;
    if (octets.length === 0) break;
    if (next > MAX_HEADER) refuse(line, `lies beyond the ${MAX_HEADER} octets that a header may have`);
    if (octets.length > MAX_LINE) refuse(line, `is longer than ${MAX_LINE} octets`);
    const text = octets.toString('utf8');
    // C1 controls are left alone here: in a header that is not UTF-8 they are ordinary octets of another charset.
    if (/[^\P{Cc}\t\x80-\x9f]/u.test(text)) refuse(line, 'holds a control character');
    if (text.trim() === '') continue;
    const last = drafts[drafts.length - 1];
    if (text.startsWith(' ') || text.startsWith('\t')) {
      if (last === undefined) refuse(line, 'continues a field, but there is none before it');
      last.values.push(text);
      last.lines.push(octets, CRLF);
      continue;
    }
    const name = FIELD.exec(text)?.[1];
    if (name === undefined) refuse(line, 'is not a header field (Name: value)');
    drafts.push({ name: name.toLowerCase(), values: [text.slice(name.length + 1)], lines: [octets, CRLF] });
  }
  if (drafts.length === 0) {
    throw new MailProxyError(
      'validation_failed',
      'The message does not begin with a header (lines of Name: value).',
    );
  }
  const fields = drafts.map(({ name, values, lines }) => ({
    name,
    value: values.join('').trim(),
    octets: Buffer.concat(lines),
  }));
  return { fields, body: bytes.subarray(at) };
}

/** A reply of an SMTP server (RFC 5321, section 4.2), made safe to store, log and print. */
export interface SmtpReply {
  /** The three digits, or null when the server answered something that is not one definite SMTP reply. */
  code: number | null;
  /** Enhanced status code of RFC 3463, such as `5.1.1`. */
  enhanced: string | null;
  /** The whole reply as one line of printable text, at most {@link MAX_REPLY_LENGTH} characters. */
  reply: string;
}

/** Longest reply text that is kept, in UTF-16 code units. */
export const MAX_REPLY_LENGTH = 500;

/**
 * Turns text of a server into one printable line: control, format (bidi, zero width) and surrogate characters and
 * runs of white space become one space, and the result is cut at {@link MAX_REPLY_LENGTH}.
 */
function printableLine(text: string): string {
  const line = text
    .slice(0, MAX_REPLY_LENGTH * 8)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Z}\s]+/gu, ' ')
    .trim();
  return line.length > MAX_REPLY_LENGTH ? `${line.slice(0, MAX_REPLY_LENGTH - 1)}…` : line;
}

/**
 * Reads a raw, possibly multi-line reply. Lines that disagree about the code leave it null: RFC 5321 forbids them, and
 * guessing which one the server meant could turn a refusal into a success.
 */
export function parseReply(raw: string): SmtpReply {
  const lines = raw.split(/\r?\n/).filter((line) => line.trim() !== '');
  const codes = new Set(lines.map((line) => /^[2-5]\d\d(?=[ -]|$)/.exec(line)?.[0] ?? ''));
  const [only = ''] = codes;
  const code = codes.size === 1 && only !== '' ? Number(only) : null;
  if (code === null) return { code, enhanced: null, reply: printableLine(raw) };
  const texts = lines.map((line) => line.slice(4).trim());
  const enhanced = /^([245]\.\d{1,3}\.\d{1,3})(?=\s|$)/.exec(texts[0] ?? '')?.[1] ?? null;
  const prefix = enhanced ?? '';
  const rest = texts.map((text) =>
    prefix !== '' && text.startsWith(prefix) ? text.slice(prefix.length) : text,
  );
  return { code, enhanced, reply: printableLine([only, prefix, ...rest].join(' ')) };
}

import { parseAddress } from './address.js';
import { MailProxyError } from './errors.js';
import { excerpt } from './excerpt.js';
import type { Mailbox } from './types.js';

/** Longest address list in UTF-16 units: room for 1,000 mailboxes with long names. */
const MAX_LIST = 512 * 1024;
/** Longest display name in UTF-16 units. */
const MAX_NAME = 256;
/** Most mailboxes in one list. */
const MAX_MAILBOXES = 1000;

const CONTROL_BUT_TAB = /[^\P{Cc}\t]/u;
const END_OF_WORD = /["(),:;<>\\ \t]/g;

function refuse(text: string, why: string): never {
  throw new MailProxyError(
    'validation_failed',
    `${excerpt(text)} cannot be read as an address list: ${why}.`,
  );
}

/** One mailbox of a list while it is being read. */
interface Draft {
  words: Array<{ text: string; quoted: boolean }>;
  address: string | undefined;
}

function finish(text: string, draft: Draft): Mailbox {
  const [first, second] = draft.words;
  if (draft.address === undefined) {
    if (first === undefined || second !== undefined || first.quoted) {
      refuse(text, 'a name must be followed by its address in angle brackets');
    }
    return { name: '', address: parseAddress(first.text) };
  }
  if (draft.words.some((word) => !word.quoted && word.text.includes('@'))) {
    refuse(text, 'a display name that holds an @ must be in double quotes');
  }
  const name = draft.words
    .map((word) => word.text)
    .join(' ')
    .replaceAll('\t', ' ')
    .trim();
  if (name.length > MAX_NAME) refuse(text, `a display name is longer than ${MAX_NAME} characters`);
  return { name, address: parseAddress(draft.address) };
}

/** Reads the quoted string that opens at `start`; returns its text and the offset behind its closing quote. */
function quotedString(text: string, start: number): { value: string; next: number } {
  let value = '';
  for (let i = start + 1; i < text.length; i++) {
    let char = text.charAt(i);
    if (char === '"') return { value, next: i + 1 };
    if (char === '\\') char = text.charAt(++i);
    value += char;
  }
  return refuse(text.slice(start), 'a double quote is never closed');
}

/** One pass from left to right; every character is looked at a bounded number of times. */
function scan(text: string, limit: number): Mailbox[] {
  if (text.length > MAX_LIST) refuse(text, `it is longer than ${MAX_LIST} characters`);
  if (CONTROL_BUT_TAB.test(text)) refuse(text, 'it holds a control character');
  const found: Mailbox[] = [];
  let draft: Draft = { words: [], address: undefined };
  const flush = (): void => {
    if (draft.words.length === 0 && draft.address === undefined) return;
    if (found.length === limit) refuse(text, `it holds more than ${limit} addresses`);
    found.push(finish(text, draft));
    draft = { words: [], address: undefined };
  };
  let i = 0;
  while (i < text.length) {
    const char = text.charAt(i);
    if (char === ' ' || char === '\t') i++;
    else if (char === ',') {
      flush();
      i++;
    } else if (draft.address !== undefined) {
      refuse(text, 'only a comma may follow an address in angle brackets');
    } else if (char === '"') {
      const { value, next } = quotedString(text, i);
      if (text.charAt(next) === '@') refuse(text, 'a quoted local part is not accepted');
      draft.words.push({ text: value, quoted: true });
      i = next;
    } else if (char === '<') {
      const end = text.indexOf('>', i);
      if (end < 0) refuse(text.slice(i), 'an angle bracket is never closed');
      draft.address = text.slice(i + 1, end).trim();
      i = end + 1;
    } else if (char === '(' || char === ')') refuse(text, 'comments in parentheses are not accepted');
    else if (char === ':' || char === ';')
      refuse(text, 'groups are not accepted, and addresses are separated by commas');
    else if (char === '>' || char === '\\') refuse(text, `a "${char}" is out of place`);
    else {
      END_OF_WORD.lastIndex = i;
      const end = END_OF_WORD.exec(text)?.index ?? text.length;
      draft.words.push({ text: text.slice(i, end), quoted: false });
      i = end;
    }
  }
  flush();
  return found;
}

/**
 * Reads mailboxes (`a@b` or `Name <a@b>`, RFC 5322 without groups, comments and obsolete forms) from a comma-separated
 * string or a list of single mailboxes. Empty elements are skipped. Takes time linear in the input.
 *
 * @param limit - most mailboxes to accept
 * @defaultValue 1000
 * @throws MailProxyError `validation_failed`
 */
export function parseMailboxList(
  input: string | readonly string[],
  limit: number = MAX_MAILBOXES,
): Mailbox[] {
  if (typeof input === 'string') return scan(input, limit);
  if (input.length > limit) {
    throw new MailProxyError(
      'validation_failed',
      `The list holds more than ${limit} addresses: send to fewer at a time.`,
    );
  }
  return input.map(parseMailbox);
}

/**
 * Reads exactly one mailbox, `a@b` or `Name <a@b>`.
 *
 * @throws MailProxyError `validation_failed`
 */
export function parseMailbox(text: string): Mailbox {
  const [mailbox, ...others] = scan(text, 2);
  if (mailbox === undefined) {
    throw new MailProxyError('validation_failed', 'The address is empty: give one as name@example.com.');
  }
  if (others.length > 0) refuse(text, 'exactly one address is expected');
  return mailbox;
}

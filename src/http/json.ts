import { MailProxyError } from '../core/errors.js';

/** Deepest nesting of arrays and objects in a body: far more than any real one, far less than what exhausts a stack. */
const MAX_DEPTH = 64;

/** Most members of all objects in a body; parsing and naming millions of them would hold up everybody else. */
const MAX_MEMBERS = 200_000;

const QUOTE = 0x22;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Position after the string that begins at `start`, or the end of the bytes. */
function afterString(bytes: Uint8Array, start: number): number {
  let end = bytes.indexOf(QUOTE, start + 1);
  while (end !== -1) {
    let backslashes = 0;
    while (bytes[end - 1 - backslashes] === BACKSLASH) backslashes++;
    if (backslashes % 2 === 0) return end + 1;
    end = bytes.indexOf(QUOTE, end + 1);
  }
  return bytes.length;
}

/** Refuses a structure that is too deep or too wide before it is built; all structure is ASCII, so bytes are enough. */
function boundStructure(bytes: Uint8Array): void {
  let depth = 0;
  let members = 0;
  for (let i = 0; i < bytes.length; ) {
    const byte = bytes[i];
    if (byte === QUOTE) {
      i = afterString(bytes, i);
      continue;
    }
    if (byte === OPEN_BRACKET || byte === OPEN_BRACE) depth++;
    else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth--;
    else if (byte === COLON) members++;
    if (depth > MAX_DEPTH) {
      throw new MailProxyError('invalid_json', `The body nests deeper than ${MAX_DEPTH} levels.`);
    }
    if (members > MAX_MEMBERS) {
      throw new MailProxyError(
        'body_too_large',
        `The body has more than ${MAX_MEMBERS} members: send it in smaller parts.`,
      );
    }
    i++;
  }
}

/**
 * Parses a JSON body (RFC 8259: UTF-8, nothing else).
 *
 * @throws MailProxyError `invalid_json` or, for millions of members, `body_too_large`, without any piece of the body.
 */
export function parseJson(bytes: Uint8Array): unknown {
  boundStructure(bytes);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    throw new MailProxyError('invalid_json', 'The body is not UTF-8: encode the JSON in UTF-8.');
  }
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own words quote the body, which may hold a secret.
    throw new MailProxyError('invalid_json', 'The body is not valid JSON.');
  }
}

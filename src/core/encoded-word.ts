/** Octets that fit in one encoded-word of 75 characters: `=?utf-8?B?` … `?=` leaves 63, rounded down to base64 groups. */
const OCTETS_PER_WORD = 45;

const WORD = /=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{0,20})?\?([BbQq])\?([^?\s]{0,1000})\?=/g;
const BETWEEN_WORDS = /(=\?[^?\s]{1,64}\?[BbQq]\?[^?\s]{0,1000}\?=)[ \t]+(?==\?[^?\s]{1,64}\?[BbQq]\?)/g;

/** Writes text as RFC 2047 encoded-words (UTF-8, B), each of whole characters, separated by one space. */
export function encodeWords(text: string): string {
  const words: string[] = [];
  let chunk = '';
  for (const char of text) {
    if (Buffer.byteLength(chunk + char) > OCTETS_PER_WORD) {
      words.push(chunk);
      chunk = '';
    }
    chunk += char;
  }
  words.push(chunk);
  return words.map((word) => `=?utf-8?B?${Buffer.from(word).toString('base64')}?=`).join(' ');
}

function decodeOctets(encoding: string, text: string): Buffer {
  if (encoding === 'B' || encoding === 'b') return Buffer.from(text, 'base64');
  const latin1 = text
    .replaceAll('_', ' ')
    .replace(/=([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(latin1, 'latin1');
}

/** Reads the RFC 2047 encoded-words of a header value for display; a word in an unknown charset is left as it is. */
export function decodeWords(text: string): string {
  return text
    .replace(BETWEEN_WORDS, '$1')
    .replace(WORD, (word, charset: string, encoding: string, data: string) => {
      try {
        return new TextDecoder(charset).decode(decodeOctets(encoding, data));
      } catch {
        return word;
      }
    });
}

/** A part of a MIME message as the test reader sees it: decoded header fields and decoded content. */
export interface ReadPart {
  headers: Array<[name: string, value: string]>;
  content: Buffer;
  parts: ReadPart[];
}

function decodeQuotedPrintable(text: string): Buffer {
  const joined = text.replace(/[ \t]+\r\n/g, '\r\n').replace(/=\r\n/g, '');
  return Buffer.from(
    joined.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  );
}

/** Reads encoded-words by RFC 2047: octets of adjacent words are joined before they are decoded as UTF-8. */
export function readWords(value: string): string {
  const adjacent = value.replace(/\?=\s+=\?/g, '?==?');
  return adjacent.replace(/(?:=\?utf-8\?[bq]\?[^?]*\?=)+/gi, (run) => {
    const octets = run
      .split(/\?==\?|^=\?|\?=$/)
      .filter(Boolean)
      .map((word) => {
        const [, encoding = '', data = ''] = word.split('?');
        return encoding.toUpperCase() === 'B'
          ? Buffer.from(data, 'base64')
          : decodeQuotedPrintable(data.replaceAll('_', '=20'));
      });
    return Buffer.concat(octets).toString();
  });
}

/** First value of a header field, by its lower-case name. */
export function headerOf(part: ReadPart, name: string): string | undefined {
  return part.headers.find(([key]) => key === name)?.[1];
}

/** A strict little MIME reader written from the RFCs, independent of what composes the messages under test. */
export function readMime(bytes: Buffer): ReadPart {
  const text = bytes.toString('latin1');
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) throw new Error('no empty line after the header');
  const headers = text
    .slice(0, end)
    .split(/\r\n(?![ \t])/)
    .map((line): [string, string] => {
      const colon = line.indexOf(':');
      if (colon <= 0) throw new Error(`not a header field: ${line}`);
      return [
        line.slice(0, colon).toLowerCase(),
        line
          .slice(colon + 1)
          .replaceAll('\r\n', '')
          .trim(),
      ];
    });
  const part: ReadPart = { headers, content: Buffer.alloc(0), parts: [] };
  const body = text.slice(end + 4);
  const boundary = /^multipart\/[^;]+;.*boundary="([^"]+)"/i.exec(headerOf(part, 'content-type') ?? '')?.[1];
  if (boundary !== undefined) {
    const pieces = `\r\n${body}`.split(`\r\n--${boundary}`);
    part.parts = pieces
      .slice(1, -1)
      .map((piece) => readMime(Buffer.from(piece.replace(/^\r\n/, ''), 'latin1')));
    return part;
  }
  const encoding = headerOf(part, 'content-transfer-encoding')?.toLowerCase();
  if (encoding === 'base64') part.content = Buffer.from(body, 'base64');
  else if (encoding === 'quoted-printable') part.content = decodeQuotedPrintable(body);
  else part.content = Buffer.from(body, 'latin1');
  return part;
}

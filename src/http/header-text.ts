const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Reads a header as the text that was meant. Node hands out header bytes as Latin-1; clients send non-ASCII text as UTF-8
 * or, some of them, as Latin-1 itself.
 */
export function headerText(value: string): string {
  try {
    return utf8.decode(Buffer.from(value, 'latin1'));
  } catch {
    return value;
  }
}

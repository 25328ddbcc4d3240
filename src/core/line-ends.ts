const CR = 13;
const LF = 10;

/** Length the octets will have once every line end is CRLF. */
function normalizedLength(bytes: Buffer): number {
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === LF) length += 2;
    else if (bytes[i] !== CR) length++;
    else if (!runEndsInLf(bytes, i)) length += 2;
  }
  return length;
}

/** Whether this CR belongs to a run of CRs that an LF closes: then the LF alone is the line end. */
function runEndsInLf(bytes: Buffer, at: number): boolean {
  let i = at + 1;
  while (bytes[i] === CR && i - at < 4) i++;
  return bytes[i] === LF;
}

/** Whether every line end is CRLF already, as of nearly all messages. */
function isNormalized(bytes: Buffer): boolean {
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) return false;
  }
  for (let at = bytes.indexOf(CR); at !== -1; at = bytes.indexOf(CR, at + 1)) {
    if (bytes[at + 1] !== LF) return false;
  }
  return true;
}

/**
 * Makes every line end CRLF: a bare LF, a bare CR and the CR CR LF of doubly converted files are one line end each. Servers
 * that disagree on bare line ends can be made to see a second message behind the final dot (SMTP smuggling), so none ever
 * reaches one. Returns the same buffer when there is nothing to change.
 */
export function normalizeLineEnds(bytes: Buffer): Buffer {
  if (isNormalized(bytes)) return bytes;
  const length = normalizedLength(bytes);
  const out = Buffer.allocUnsafe(length);
  let at = 0;
  for (let i = 0; i < bytes.length; i++) {
    const octet = bytes[i] ?? 0;
    if (octet === CR && runEndsInLf(bytes, i)) continue;
    if (octet === CR || octet === LF) {
      out[at++] = CR;
      out[at++] = LF;
    } else {
      out[at++] = octet;
    }
  }
  return out;
}

import { encode as base64, wrap as wrapBase64 } from 'nodemailer/lib/base64';
import type MimeNode from 'nodemailer/lib/mime-node';
import { encode as quotedPrintable, wrap as wrapQuotedPrintable } from 'nodemailer/lib/qp';

/**
 * The library's streams encode content in slices of 64 KiB, whose seams may wrap a line elsewhere. So many characters are one slice
 * at the most, at four octets each in UTF-8.
 */
const LONGEST = 16 * 1024;

/**
 * The octets of a composed tree, put together at once with the library's own headers and encoders: its streams make the same octets,
 * and cost several times as much as all else that is done for a short message.
 *
 * @returns Undefined for a tree with content that only the streams handle: long, or no text and yet quoted-printable.
 */
export function octetsOf(root: MimeNode): Buffer | undefined {
  const parts: string[] = [];
  if (!write(root, parts)) return undefined;
  const text = parts.join('');
  const end = text.endsWith('\n') ? '' : text.endsWith('\r') ? '\n' : '\r\n';
  return Buffer.from(text + end, 'utf8');
}

function write(node: MimeNode, parts: string[]): boolean {
  parts.push(node.buildHeaders(), '\r\n\r\n');
  const content = contentOf(node);
  if (content === undefined) return false;
  parts.push(content);
  // Known since the headers were built.
  if (!node.multipart) return true;
  for (const [i, child] of node.childNodes.entries()) {
    parts.push(i === 0 ? '' : '\r\n', `--${node.boundary}\r\n`);
    if (!write(child, parts)) return false;
  }
  parts.push(`\r\n--${node.boundary}--\r\n`);
  return true;
}

/** What stands between the headers of a node and its children; undefined when it cannot be said at once. */
function contentOf(node: MimeNode): string | undefined {
  const { content } = node;
  if (!content) return '';
  if (typeof content !== 'string' && !(content instanceof Buffer)) return undefined;
  if (content.length > LONGEST) return undefined;
  switch (node.getTransferEncoding()) {
    case 'base64':
      return wrapBase64(base64(content));
    case 'quoted-printable':
      return /^text\//i.test(node.contentType || '')
        ? wrapQuotedPrintable(quotedPrintable(content))
        : undefined;
    default:
      // Octets that are no UTF-8 would not survive being a string.
      return typeof content === 'string' || content.every((octet) => octet < 0x80)
        ? content.toString()
        : undefined;
  }
}

import { randomUUID } from 'node:crypto';
import MailComposer from 'nodemailer/lib/mail-composer';
import { detectMimeType } from 'nodemailer/lib/mime-funcs';
import { normalizeLineEnds } from '../core/line-ends.js';
import type { ComposedMessage, Mailbox } from '../core/types.js';
import { octetsOf } from './mime-octets.js';

/** White space that folding could turn into a line of nothing else, which some readers take for the end of the header. */
const LONG_SPACE = /[ \t]{20,}/g;
const ASCII = /^[\t -~]*$/;

type Attachment = ComposedMessage['attachments'][number];

/** nodemailer edits the address objects it is given, so it gets copies. */
function copies(mailboxes: readonly Mailbox[]): Mailbox[] {
  return mailboxes.map(({ name, address }) => ({ name, address }));
}

/** Whether content may stand in a message unencoded, as RFC 2046 (5.2.1) demands of message/rfc822. */
function fitsUnencoded(content: Buffer): boolean {
  let length = 0;
  for (const octet of content) {
    if (octet === 0 || octet > 0x7f) return false;
    length = octet === 10 || octet === 13 ? 0 : length + 1;
    if (length > 998) return false;
  }
  return true;
}

function mediaType(attachment: Attachment, content: Buffer): string {
  const type = attachment.contentType || detectMimeType(attachment.filename);
  const composite = /^(?:message|multipart)\//i.test(type);
  return composite && !(/^message\/rfc822$/i.test(type) && fitsUnencoded(content))
    ? 'application/octet-stream'
    : type;
}

/**
 * ASCII goes out as it was given (an encoded-word or a quoted string stays one), anything else as encoded-words.
 * nodemailer formats References itself and takes no prepared value for it.
 */
function headerOf(
  key: string,
  value: string,
): { key: string; value: string | { prepared: true; foldLines: true; value: string } } {
  const text = value.replace(LONG_SPACE, ' ');
  return {
    key,
    value:
      ASCII.test(text) && key.toLowerCase() !== 'references'
        ? { prepared: true, foldLines: true, value: text }
        : text,
  };
}

/**
 * Composes the octets of a message: MIME, UTF-8, CRLF line ends, ready for DATA before dot-stuffing. Nothing in the input can
 * name a file or a URL, and no Bcc is ever written. The same input gives the same octets but for the multipart boundary.
 */
export async function composeMime(message: ComposedMessage): Promise<Buffer> {
  const composer = new MailComposer({
    disableFileAccess: true,
    disableUrlAccess: true,
    newline: 'win',
    // As random as the library's own, which asks the system for each part of each message.
    baseBoundary: randomUUID(),
    from: { ...message.from },
    to: copies(message.to),
    cc: copies(message.cc),
    replyTo: copies(message.replyTo),
    subject: message.subject.replace(LONG_SPACE, ' '),
    messageId: message.messageId,
    date: new Date(message.date),
    headers: message.headers.map(({ key, value }) => headerOf(key, value)),
    ...(message.text === undefined ? {} : { text: message.text }),
    ...(message.html === undefined ? {} : { html: message.html }),
    attachments: message.attachments.map((attachment) => {
      const content = Buffer.from(attachment.base64, 'base64');
      return { filename: attachment.filename, contentType: mediaType(attachment, content), content };
    }),
  });
  const root = composer.compile();
  return normalizeLineEnds(octetsOf(root) ?? (await root.build()));
}

import { randomUUID } from 'node:crypto';
import { domainOf } from './address.js';
import { parseAttachment } from './attachment.js';
import { encodeWords } from './encoded-word.js';
import { MailProxyError } from './errors.js';
import { parseHeaders, parseHeaderValue } from './header.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_SIZE } from './limits.js';
import { parseMailboxList } from './mailbox.js';
import { parseMessageId } from './message-id.js';
import { authorOf, bodyOf, envelopeOf, fail, field, recipientsOf, scheduleOf } from './message-parts.js';
import { parsePriority } from './priority.js';
import { prepareRaw } from './raw-message.js';
import { isRejectionCode, type RejectionCode } from './rejection-codes.js';
import type { WireMessage } from './schemas/message.js';
import type { ComposedMessage, Mailbox, Millis, NewMessage, Priority } from './types.js';

/** A message of a batch that is not stored: `id` is null when it had none that could be read. */
export interface Rejection {
  id: string | null;
  reason: string;
  code: RejectionCode;
}

/** What a message is normalised against. */
export interface NormalizeContext {
  now: Millis;
  tenantId: string;
  defaultPriority: Priority;
  /** The account's `from_address`, for a message that names no author. */
  fallbackFrom?: string | undefined;
}

/**
 * Value of the `X-Genro-Mail-ID` header, by which bounces are matched: the id as it is when it is printable ASCII
 * without spaces, otherwise as RFC 2047 encoded-words that decode to it.
 */
export function correlationValue(id: string): string {
  return /^[!-~]+$/.test(id) && !id.includes('=?') ? id : encodeWords(id);
}

/** Upper bound of the composed size in octets: quoted-printable triples a text at worst, and base64 gets line ends. */
function estimateSize({ text = '', html = '', attachments }: ComposedMessage): number {
  const attached = attachments.reduce((sum, { base64 }) => sum + Math.ceil(base64.length * 1.03) + 1024, 0);
  return 3 * (Buffer.byteLength(text) + Buffer.byteLength(html)) + attached;
}

function composedOf(
  wire: WireMessage,
  now: Millis,
  { from, to, cc }: { from: Mailbox; to: Mailbox[]; cc: Mailbox[] },
): ComposedMessage {
  const givenId = wire.message_id ?? undefined;
  const attachments = (wire.attachments ?? []).map((attachment, index) =>
    field(`attachments.${index}`, () => parseAttachment(attachment)),
  );
  return {
    from,
    to,
    cc,
    replyTo: field('reply_to', () => parseMailboxList(wire.reply_to ?? [])),
    subject: field('subject', () => parseHeaderValue('The subject', wire.subject ?? '')),
    ...bodyOf(wire),
    messageId:
      givenId === undefined
        ? `<${randomUUID()}@${domainOf(from.address)}>`
        : field('message_id', () => parseMessageId(givenId)),
    date: now,
    headers: [
      ...field('headers', () => parseHeaders(wire.headers ?? {})),
      { key: 'X-Genro-Mail-ID', value: correlationValue(wire.id) },
    ],
    attachments,
  };
}

type Content = Pick<NewMessage, 'envelope' | 'contentKind' | 'content' | 'subject'>;

function composedContent(wire: WireMessage, context: NormalizeContext): Content {
  const from = authorOf(wire, context.fallbackFrom);
  const { to, cc, all } = recipientsOf(wire);
  const envelope = envelopeOf(wire, from, all);
  const composed = composedOf(wire, context.now, { from, to, cc });
  if (estimateSize(composed) > MAX_MESSAGE_BYTES) {
    fail(`The composed message would be larger than ${MAX_MESSAGE_SIZE}.`, 'body_too_large');
  }
  const content = Buffer.from(JSON.stringify(composed));
  return { envelope, contentKind: 'composed', content, subject: composed.subject };
}

function rawContent(wire: WireMessage, raw: string, now: Millis): Content {
  const { envelope, bytes, subject } = prepareRaw(wire, raw, correlationValue(wire.id), now);
  return { envelope, contentKind: 'raw', content: bytes, subject };
}

function build(wire: WireMessage, context: NormalizeContext): NewMessage {
  if (wire.tenant_id && wire.tenant_id !== context.tenantId) {
    fail('tenant_id: The message names another tenant than the request.', 'tenant_mismatch');
  }
  const raw = wire.raw ?? undefined;
  return {
    id: wire.id,
    accountId: wire.account_id ?? undefined,
    ...(raw === undefined ? composedContent(wire, context) : rawContent(wire, raw, context.now)),
    priority: field('priority', () => parsePriority(wire.priority ?? context.defaultPriority)),
    ...scheduleOf(wire, context.now),
    batchCode: wire.batch_code ?? undefined,
  };
}

/**
 * Turns a message of the wire that has the right shape into one that may be stored, or into the reason why not. Everything
 * that could fail later far from its cause fails here. The only source of chance is the generated Message-ID.
 */
export function normalizeMessage(
  wire: WireMessage,
  context: NormalizeContext,
): { message: NewMessage } | { rejection: Rejection } {
  try {
    return { message: build(wire, context) };
  } catch (error) {
    if (!(error instanceof MailProxyError) || !isRejectionCode(error.code)) throw error;
    return { rejection: { id: wire.id, reason: error.message, code: error.code } };
  }
}

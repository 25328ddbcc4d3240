import { parseAddress } from './address.js';
import { MailProxyError } from './errors.js';
import type { HeaderField } from './header-block.js';
import { MAX_RECIPIENTS } from './limits.js';
import { parseMailboxList } from './mailbox.js';
import type { Envelope, Mailbox } from './types.js';

/** `undisclosed-recipients:;` and its like: a group without members. */
const EMPTY_GROUP = /^[^,<>"@:;()]*:\s*;$/;

/** What the caller calls the two sides of the envelope. */
interface Names {
  from: string;
  to: string;
}

/** Envelope that the caller states; what is left out comes from the header. */
export interface EnvelopeFlags {
  /** An address, or `<>` or an empty string for the null sender. */
  from?: string | undefined;
  to?: readonly string[] | undefined;
  /** How the caller states sender and recipients, for the sentences of failures: `--from` and `--to` when left out. */
  names?: Names | undefined;
}

const FLAGS: Names = { from: '--from', to: '--to' };

function mailboxesOf(field: HeaderField, names: Names): Mailbox[] {
  if (EMPTY_GROUP.test(field.value)) return [];
  try {
    return parseMailboxList(field.value, MAX_RECIPIENTS);
  } catch (error) {
    if (!(error instanceof MailProxyError)) throw error;
    const flag = /^(?:resent-)?(?:to|cc|bcc)$/.test(field.name) ? names.to : names.from;
    throw new MailProxyError(
      'validation_failed',
      `The ${field.name} header cannot be read: ${error.message} Correct it, or state the envelope with ${flag}.`,
    );
  }
}

/** The newest block of Resent-* fields: from the first of them down to a field of another kind or a repeated name. */
function newestResentBlock(fields: readonly HeaderField[]): HeaderField[] {
  const start = fields.findIndex((field) => field.name.startsWith('resent-'));
  const block: HeaderField[] = [];
  for (const field of start < 0 ? [] : fields.slice(start)) {
    const repeated = block.some((other) => other.name === field.name);
    if (!field.name.startsWith('resent-') || repeated) break;
    block.push(field);
  }
  return block;
}

function senderFrom(fields: readonly HeaderField[], prefix: string, names: Names): string | undefined {
  for (const name of [`${prefix}sender`, `${prefix}from`]) {
    const [field, again] = fields.filter((candidate) => candidate.name === name);
    if (again !== undefined) {
      throw new MailProxyError(
        'validation_failed',
        `The message has more than one ${name} header: keep one.`,
      );
    }
    if (field === undefined) continue;
    const [mailbox, other] = mailboxesOf(field, names);
    if (mailbox === undefined || other !== undefined) {
      throw new MailProxyError(
        'validation_failed',
        `The ${name} header does not name exactly one address: add a Sender header or state the envelope with ${names.from}.`,
      );
    }
    return mailbox.address;
  }
  return undefined;
}

function recipientsFrom(fields: readonly HeaderField[], prefix: string, names: Names): string[] {
  const wanted = [`${prefix}to`, `${prefix}cc`, `${prefix}bcc`];
  return fields
    .filter((field) => wanted.includes(field.name))
    .flatMap((field) => mailboxesOf(field, names))
    .map((mailbox) => mailbox.address);
}

/**
 * Derives the envelope of a ready-made message: from the newest Resent-* block when there is one, otherwise from Sender
 * or From, and To, Cc and Bcc. What `flags` state wins, and then the header in question need not be readable.
 *
 * @throws MailProxyError `validation_failed`, naming the header that cannot be used
 */
export function envelopeOfHeader(fields: readonly HeaderField[], flags: EnvelopeFlags): Envelope {
  const names = flags.names ?? FLAGS;
  const resent = newestResentBlock(fields);
  const stated = flags.from?.trim();
  const from =
    stated === undefined
      ? (senderFrom(resent, 'resent-', names) ?? senderFrom(fields, '', names))
      : stated === '' || stated === '<>'
        ? ''
        : parseAddress(stated);
  if (from === undefined) {
    throw new MailProxyError(
      'validation_failed',
      `The message has no From header: add one or state the sender with ${names.from}.`,
    );
  }
  const resentTo = flags.to === undefined ? recipientsFrom(resent, 'resent-', names) : [];
  const derived =
    resentTo.length > 0 ? resentTo : flags.to === undefined ? recipientsFrom(fields, '', names) : [];
  const to = [...new Set(flags.to?.map(parseAddress) ?? derived)];
  if (to.length === 0) {
    throw new MailProxyError(
      'validation_failed',
      `The message has no recipient: add a To header or state them with ${names.to}.`,
    );
  }
  if (to.length > MAX_RECIPIENTS) {
    throw new MailProxyError('validation_failed', `The message has more than ${MAX_RECIPIENTS} recipients.`);
  }
  return { from, to };
}

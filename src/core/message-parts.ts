import { parseAddress } from './address.js';
import { type ErrorCode, MailProxyError } from './errors.js';
import { MAX_RECIPIENTS } from './limits.js';
import { parseMailbox, parseMailboxList } from './mailbox.js';
import type { WireMessage } from './schemas/message.js';
import { parseTimestamp } from './time.js';
import type { Envelope, Mailbox, Millis } from './types.js';

/** How long a message that names no `expires_ts` is tried, from its first possible attempt. */
export const DEFAULT_LIFETIME: Millis = 48 * 3_600_000;

/** Refuses the message: `reason` begins with the field's name. */
export function fail(reason: string, code: ErrorCode = 'validation_failed'): never {
  throw new MailProxyError(code, reason);
}

/** Puts the field's name before whatever sentence its check fails with. */
export function field<T>(name: string, check: () => T): T {
  try {
    return check();
  } catch (error) {
    if (error instanceof MailProxyError) throw new MailProxyError(error.code, `${name}: ${error.message}`);
    throw error;
  }
}

/**
 * The author: `from`, its alias, or the account's own address.
 *
 * @throws MailProxyError `validation_failed`
 */
export function authorOf(wire: WireMessage, fallback: string | undefined): Mailbox {
  const from = wire.from ?? undefined;
  const alias = wire.from_addr ?? undefined;
  if (from !== undefined && alias !== undefined && from !== alias) {
    fail('from: It differs from its alias from_addr: give one of them.');
  }
  const text = from ?? alias ?? fallback;
  if (text === undefined) fail('from: The message names no author and its account has no from_address.');
  return field('from', () => parseMailbox(text));
}

/**
 * The recipients: those the message shows, and `all` addresses of the envelope, each once.
 *
 * @throws MailProxyError `validation_failed`
 */
export function recipientsOf(wire: WireMessage): { to: Mailbox[]; cc: Mailbox[]; all: string[] } {
  const list = (name: 'to' | 'cc' | 'bcc'): Mailbox[] =>
    field(name, () => parseMailboxList(wire[name] ?? []));
  const [to, cc, bcc] = [list('to'), list('cc'), list('bcc')];
  const addresses = [...to, ...cc, ...bcc].map((mailbox) => mailbox.address);
  if (addresses.length === 0) fail('to: The message has no recipient.');
  if (addresses.length > MAX_RECIPIENTS) fail(`to: The message has more than ${MAX_RECIPIENTS} recipients.`);
  return { to, cc, all: [...new Set(addresses)] };
}

/**
 * The stated envelope sender: `<>` is the null sender, an empty string; undefined when none is stated.
 *
 * @throws MailProxyError `validation_failed`
 */
export function returnPathOf({ return_path: path }: WireMessage): string | undefined {
  if (path === null || path === undefined) return undefined;
  const bare = path.startsWith('<') && path.endsWith('>') ? path.slice(1, -1) : path;
  return path === '<>' ? '' : field('return_path', () => parseAddress(bare));
}

/**
 * The envelope: its sender is `return_path` (`<>` is the null sender) or the author.
 *
 * @throws MailProxyError `validation_failed`
 */
export function envelopeOf(wire: WireMessage, from: Mailbox, to: string[]): Envelope {
  return { from: returnPathOf(wire) ?? from.address, to };
}

/**
 * The body, from `body` with `content_type` or from `text` and `html`.
 *
 * @throws MailProxyError `validation_failed` for both at once
 */
export function bodyOf(wire: WireMessage): { text?: string; html?: string } {
  const given = { text: wire.text ?? undefined, html: wire.html ?? undefined };
  const body = wire.body ?? undefined;
  if (body !== undefined && (given.text !== undefined || given.html !== undefined)) {
    fail('body: Give either body with content_type, or text and html.');
  }
  if (body !== undefined) return wire.content_type === 'html' ? { html: body } : { text: body };
  return {
    ...(given.text === undefined ? {} : { text: given.text }),
    ...(given.html === undefined ? {} : { html: given.html }),
  };
}

/**
 * When the message is due and when it is given up, in Unix milliseconds.
 *
 * @throws MailProxyError `validation_failed` for one that could never be sent
 */
export function scheduleOf(
  wire: WireMessage,
  now: Millis,
): { deferredAt: Millis | undefined; expiresAt: Millis } {
  const time = (name: 'deferred_ts' | 'expires_ts'): Millis | undefined => {
    const value = wire[name] ?? undefined;
    return value === undefined ? undefined : field(name, () => parseTimestamp(value));
  };
  const deferred = time('deferred_ts');
  const deferredAt = deferred !== undefined && deferred > now ? deferred : undefined;
  const expiresAt = time('expires_ts') ?? (deferredAt ?? now) + DEFAULT_LIFETIME;
  if (expiresAt <= now) fail('expires_ts: The message has already expired.');
  if (deferredAt !== undefined && expiresAt <= deferredAt) {
    fail('expires_ts: The message expires before deferred_ts, so it could never be sent.');
  }
  return { deferredAt, expiresAt };
}

import { decodeBase64 } from './base64.js';
import { type PreparedEml, prepareEml } from './eml.js';
import type { EnvelopeFlags } from './eml-envelope.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_SIZE } from './limits.js';
import { authorOf, fail, field, recipientsOf, returnPathOf } from './message-parts.js';
import type { WireMessage } from './schemas/message.js';
import type { Millis } from './types.js';

/** Fields that a ready-made message says itself. */
const IN_RAW = [
  'subject',
  'body',
  'content_type',
  'text',
  'html',
  'attachments',
  'reply_to',
  'message_id',
  'headers',
] as const;

const isGiven = (value: unknown): boolean => value !== undefined && value !== null;

function envelopeFlags(wire: WireMessage): EnvelopeFlags {
  const isSenderNamed = isGiven(wire.from) || isGiven(wire.from_addr);
  const from = returnPathOf(wire) ?? (isSenderNamed ? authorOf(wire, undefined).address : undefined);
  const areRecipientsNamed = isGiven(wire.to) || isGiven(wire.cc) || isGiven(wire.bcc);
  return {
    ...(from === undefined ? {} : { from }),
    ...(areRecipientsNamed ? { to: recipientsOf(wire).all } : {}),
    names: { from: 'from', to: 'to' },
  };
}

/**
 * Prepares the ready-made message of a message that has `raw`, as {@link prepareEml} does. The envelope is what `return_path` or
 * `from`, and `to`, `cc` and `bcc` state; of what is left out, the message's own header says it.
 *
 * @param correlation - Value of the `X-Genro-Mail-ID` field, which replaces any that the message has.
 * @throws MailProxyError `validation_failed` or `body_too_large`, naming the field
 */
export function prepareRaw(wire: WireMessage, raw: string, correlation: string, now: Millis): PreparedEml {
  const both = IN_RAW.find((name) => isGiven(wire[name]));
  if (both !== undefined) {
    fail(`${both}: A message with raw has this in raw already: give one of them.`);
  }
  const flags = envelopeFlags(wire);
  return field('raw', () => {
    // Four characters are three octets; line breaks between them are the few per cent on top.
    if (raw.length > MAX_MESSAGE_BYTES * 1.5) {
      fail(`The message is larger than ${MAX_MESSAGE_SIZE}.`, 'body_too_large');
    }
    return prepareEml(decodeBase64('The message', raw), { ...flags, correlation }, now);
  });
}

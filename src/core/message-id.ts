import { MailProxyError } from './errors.js';

/** Longest message identifier in octets, brackets included, so that its header fits a line by far. */
const MAX_MESSAGE_ID = 250;

const MSG_ID =
  /^<?([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*@[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*)>?$/;

/**
 * Checks a message identifier (RFC 5322, 3.6.4: `left@right`, both dot-atoms), given with or without its angle brackets,
 * and returns it with them.
 *
 * @throws MailProxyError `validation_failed`
 */
export function parseMessageId(text: string): string {
  const id = text.length > MAX_MESSAGE_ID ? undefined : MSG_ID.exec(text)?.[1];
  if (id === undefined || text.startsWith('<') !== text.endsWith('>')) {
    throw new MailProxyError(
      'validation_failed',
      'The message identifier must have the form <left@right> (RFC 5322).',
    );
  }
  return `<${id}>`;
}

import { MailProxyError } from './errors.js';

/**
 * Ids of messages and batch codes are 1 to 255 characters, none of them a control character, wherever they come from.
 *
 * @throws MailProxyError `validation_failed`, naming what the text is.
 */
export function requirePrintable(what: string, text: string | undefined): void {
  if (text === undefined || (text.length > 0 && text.length <= 255 && !/[\p{Cc}\p{Cs}]/u.test(text))) return;
  throw new MailProxyError(
    'validation_failed',
    `The ${what} must have 1 to 255 characters, none of them a control character.`,
  );
}

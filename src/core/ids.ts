import { MailProxyError } from './errors.js';

/** Grammar of tenant and account ids. */
export const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** Whether a text can be the id of a tenant or an account. */
export function isId(text: string): boolean {
  return ID_PATTERN.test(text);
}

/**
 * Returns the id when it fits the grammar.
 *
 * @throws MailProxyError `validation_failed`, naming what the id is for.
 */
export function requireId(text: string, what: 'tenant' | 'account'): string {
  if (isId(text)) return text;
  throw new MailProxyError(
    'validation_failed',
    `That is no ${what} id: use 1 to 64 letters, digits, dots, dashes or underscores, beginning with a letter or digit.`,
  );
}

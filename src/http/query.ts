import { z } from 'zod';
import { MailProxyError } from '../core/errors.js';

/** A yes or no in a query. */
export const queryBoolean = z
  .enum(['true', 'false', '1', '0'])
  .transform((text) => text === 'true' || text === '1');

/** Id of a message or code of a batch, in path, query or body. */
export const messageName = z
  .string()
  .min(1)
  .max(255)
  .regex(/^\P{Cc}*$/u, 'Control characters are not allowed.');

/** The two parameters of every list. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'Must be a whole number, 1 to 1000.')
    .transform(Number)
    .pipe(z.int().min(1).max(1000))
    .default(100)
    .describe('How many to return, 1 to 1000.'),
  cursor: z.string().min(1).max(255).optional().describe('`next_cursor` of the page before.'),
};

/** Where the next page of a list begins, in every list's answer. */
export const nextCursorSchema = z
  .string()
  .optional()
  .describe('Present when there is more: give it as `cursor`.');

/**
 * Makes one value of each query parameter.
 *
 * @throws MailProxyError `validation_failed` for one that is given more than once: which is meant cannot be known.
 */
export function singleValues(queries: Record<string, string[]>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(queries).map(([name, values]) => {
      if (values.length > 1) {
        throw new MailProxyError(
          'validation_failed',
          'A query parameter is given more than once: give it once.',
          {
            issues: [{ path: name.slice(0, 80), message: 'Give it once.' }],
          },
        );
      }
      return [name, values[0] ?? ''];
    }),
  );
}

/**
 * Checks a cursor that is a number, as lists in order of their internal key have it.
 *
 * @throws MailProxyError `validation_failed`.
 */
export function numericCursor(cursor: string | undefined): string | undefined {
  if (cursor === undefined || /^\d{1,15}$/.test(cursor)) return cursor;
  throw new MailProxyError(
    'validation_failed',
    'The cursor was not made by this list: leave it out to begin.',
    {
      issues: [{ path: 'cursor', message: 'Must be the next_cursor of the page before.' }],
    },
  );
}

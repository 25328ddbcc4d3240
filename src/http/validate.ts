import type { z } from 'zod';
import { type FieldIssue, MailProxyError } from '../core/errors.js';
import { toFieldIssues } from '../core/schemas/parse-message.js';

/** Fields that existing clients may send and that are not built: never silently dropped. */
const NOT_BUILT = /^(?:large_file_config|is_pec_account|imap_\w+)$/;

/**
 * Checks the shape of what a request says.
 *
 * @param what - For the sentence: `body`, `query` or `path`.
 * @throws MailProxyError `not_supported` when a field is known but not built, otherwise `validation_failed`, with one
 * issue per field. Fields are named, values never repeated.
 */
export function validate<S extends z.ZodType>(schema: S, value: unknown, what: string): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = toFieldIssues(result.error);
  const notBuilt = issues.filter(({ path }) => NOT_BUILT.test(path.split('.').at(-1) ?? ''));
  if (notBuilt.length > 0) {
    throw new MailProxyError(
      'not_supported',
      `The field ${notBuilt[0]?.path} is not supported yet: leave it out.`,
      {
        issues: notBuilt.map(({ path }) => ({ path, message: 'This field is not supported yet.' })),
      },
    );
  }
  throw new MailProxyError('validation_failed', sentence(what, issues), { issues });
}

function sentence(what: string, [first]: FieldIssue[]): string {
  if (first === undefined || first.path === '')
    return `The ${what} of the request is not valid: ${first?.message ?? ''}`;
  return `The ${what} of the request is not valid: ${first.path}: ${first.message}`;
}

import type { z } from 'zod';
import type { FieldIssue } from '../errors.js';
import { excerpt } from '../excerpt.js';
import type { Rejection } from '../message.js';
import { messageSchema, type WireMessage } from './message.js';

/** Most issues that one answer lists. */
const MAX_ISSUES = 20;

/** Turns what zod found into the issues of the contract; unknown fields are named, values never are. */
export function toFieldIssues(error: z.ZodError): FieldIssue[] {
  const issues = error.issues.flatMap((issue) => {
    const path = issue.path.map(String);
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: [...path, key].join('.'),
        message: 'This field is not known.',
      }));
    }
    // The library's own words end without a full stop.
    const message = /[.!?]$/.test(issue.message) ? issue.message : `${issue.message}.`;
    return [{ path: path.join('.'), message }];
  });
  return issues.slice(0, MAX_ISSUES).map((issue) => ({ ...issue, path: excerpt(issue.path).slice(1, -1) }));
}

function idOf(raw: unknown): string | null {
  const id = typeof raw === 'object' && raw !== null && 'id' in raw ? raw.id : undefined;
  return typeof id === 'string' && id !== '' && id.length <= 255 && !/[\p{Cc}\p{Cs}]/u.test(id) ? id : null;
}

/** Validates the shape of one message of a batch; a bad one becomes a rejection that names its first bad fields. */
export function parseMessage(raw: unknown): { wire: WireMessage } | { rejection: Rejection } {
  const result = messageSchema.safeParse(raw);
  if (result.success) return { wire: result.data };
  const named = toFieldIssues(result.error).slice(0, 3);
  const reason = named.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join(' ');
  return { rejection: { id: idOf(raw), reason, code: 'validation_failed' } };
}

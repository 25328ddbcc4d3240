import { MailProxyError } from './errors.js';
import type { Priority } from './types.js';

/** Names of the priorities; the index is the number. */
export const PRIORITY_NAMES = ['immediate', 'high', 'medium', 'low'] as const;

/** A priority by its name. */
export type PriorityName = (typeof PRIORITY_NAMES)[number];

/** Priority of a message that names none. */
export const DEFAULT_PRIORITY: Priority = 2;

const PRIORITIES: readonly Priority[] = [0, 1, 2, 3];

/** Name of a priority, as people see it. */
export function priorityName(priority: Priority): PriorityName {
  return PRIORITY_NAMES[priority];
}

/**
 * Reads a priority from its number (0 to 3), its name in any case, or the number as text (flags and environment).
 *
 * @throws MailProxyError `validation_failed`
 */
export function parsePriority(value: number | string): Priority {
  const text = String(value).trim().toLowerCase();
  const found = PRIORITIES.find((priority) => text === String(priority) || text === PRIORITY_NAMES[priority]);
  if (found === undefined) {
    throw new MailProxyError(
      'validation_failed',
      `A priority is 0 to 3, or one of ${PRIORITY_NAMES.join(', ')}.`,
    );
  }
  return found;
}

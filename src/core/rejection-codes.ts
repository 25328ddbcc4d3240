/** Why one message of a batch was not queued: part of the contract, never renamed. */
export const REJECTION_CODES = [
  'validation_failed',
  'not_supported',
  'body_too_large',
  'tenant_mismatch',
  'tenant_not_found',
  'unknown_account',
  'no_account',
  'already_sent',
  'in_progress',
] as const;

/** A stable reason why one message of a batch was not queued. */
export type RejectionCode = (typeof REJECTION_CODES)[number];

/** Whether a failure's code is one with which messages are rejected. */
export function isRejectionCode(code: string): code is RejectionCode {
  return (REJECTION_CODES as readonly string[]).includes(code);
}

import type { MessageOutcome } from '../core/keyed-request.js';
import type { RejectionCode } from '../core/rejection-codes.js';
import type { KeyedRequest } from '../store/keyed-requests.js';

/** A message that was not queued, and why. */
export interface RejectedMessage {
  id: string | null;
  reason: string;
  code: RejectionCode;
}

/** What became of a batch. */
export interface BatchResult {
  queued: number;
  rejected: RejectedMessage[];
  /** Accounts' tenants that got something to send. */
  tenantIds: string[];
}

/** A batch with an idempotency key. */
export interface Once {
  request: KeyedRequest;
  /** What became of messages before the request was broken off: these are not stored again. */
  outcomes: readonly MessageOutcome[];
}

/** What became of the parts of a batch, as one. */
export function together(parts: readonly BatchResult[]): BatchResult {
  return {
    queued: parts.reduce((sum, { queued }) => sum + queued, 0),
    rejected: parts.flatMap(({ rejected }) => rejected),
    tenantIds: parts.flatMap(({ tenantIds }) => tenantIds),
  };
}

/** A result as it is remembered: what the client is told of it. */
export function answerText({ queued, rejected }: BatchResult): string {
  return JSON.stringify({ queued, rejected });
}

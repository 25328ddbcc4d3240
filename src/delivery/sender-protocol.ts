import { type ErrorCode, MailProxyError } from '../core/errors.js';
import { type SendOutcome, SmtpFailure, type SmtpFailureDetails } from '../core/smtp-outcome.js';
import type { Order, SenderEndpoint } from './sender.js';

/** What the thread that sends is told. `pool` and `id` are numbers that the teller gave. */
export type ToSender =
  | { do: 'open'; pool: number; endpoint: SenderEndpoint; maxConnections: number }
  | { do: 'send'; pool: number; id: number; order: PlainOrder }
  /** The mark is on disk, or refused: then the body must not go out. */
  | { do: 'marked'; id: number; ok: boolean }
  | { do: 'abandon' | 'drain' | 'destroy'; pool: number };

/** A message to send; buffers arrive as plain arrays. */
export type PlainOrder = Omit<Order, 'content'> & { content: Uint8Array };

/** What it answers. */
export type FromSender =
  | { said: 'mark'; id: number }
  | { said: 'done'; id: number; result: SentResult }
  | { said: 'empty'; pool: number };

type PlainOutcome = Omit<SendOutcome, 'failure'> & { failure: SmtpFailureDetails | null };

/** How a message ended, without classes, which do not pass between threads. */
export type SentResult =
  | { kind: 'outcome'; outcome: PlainOutcome }
  | { kind: 'smtp-failure'; failure: SmtpFailureDetails }
  | { kind: 'error'; code: ErrorCode; message: string }
  /** The teller refused the mark, and knows why. */
  | { kind: 'mark-refused' }
  | { kind: 'unexpected'; message: string };

/** Thrown in the thread in place of a mark that was refused. */
export class MarkRefused extends Error {}

/** The result of a message that was given up before it was offered. */
export function cancelled(message: string): SentResult {
  return { kind: 'error', code: 'cancelled', message };
}

/** Makes an outcome plain. */
export function plainOutcome(outcome: SendOutcome): SentResult {
  const failure = outcome.failure === null ? null : detailsOf(outcome.failure);
  return { kind: 'outcome', outcome: { ...outcome, failure } };
}

/** Makes whatever sending threw plain. */
export function plainFailure(error: unknown): SentResult {
  if (error instanceof MarkRefused) return { kind: 'mark-refused' };
  if (error instanceof SmtpFailure) return { kind: 'smtp-failure', failure: detailsOf(error) };
  if (error instanceof MailProxyError) return { kind: 'error', code: error.code, message: error.message };
  return { kind: 'unexpected', message: error instanceof Error ? error.message : String(error) };
}

/** Gives or throws again what was made plain; `refusal` is why the mark was refused. */
export function revive(result: SentResult, refusal: unknown): SendOutcome {
  switch (result.kind) {
    case 'outcome': {
      const { failure } = result.outcome;
      return { ...result.outcome, failure: failure === null ? null : new SmtpFailure(failure) };
    }
    case 'smtp-failure':
      throw new SmtpFailure(result.failure);
    case 'error':
      throw new MailProxyError(result.code, result.message);
    case 'mark-refused':
      throw refusal;
    case 'unexpected':
      throw new Error(result.message);
  }
}

function detailsOf({ step, code, enhanced, reply, causeCode, bodyStarted }: SmtpFailure): SmtpFailureDetails {
  return { step, code, enhanced, reply, causeCode, bodyStarted };
}

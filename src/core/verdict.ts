import type { RecipientOutcome, SendOutcome, SmtpFailure, SmtpStep } from './smtp-outcome.js';

/** What a reply means for the recipient it was given for. */
export type ReplyVerdict = 'sent' | 'retry' | 'error';

/** What a failure means: trouble of the account, an answer about the message, or nobody knows. */
export type FailureJudgement =
  | { kind: 'account-trouble'; reason: string }
  | { kind: 'message'; verdict: 'retry' | 'error' }
  | { kind: 'uncertain' };

/** What is to become of one recipient, with the words of the server that decided it. */
export interface RecipientJudgement extends RecipientOutcome {
  verdict: ReplyVerdict | 'uncertain';
}

/** Steps before MAIL: what fails there says nothing about the message. */
const ACCOUNT_STEPS: ReadonlySet<SmtpStep> = new Set<SmtpStep>([
  'dns',
  'connect',
  'tls',
  'greeting',
  'ehlo',
  'starttls',
  'auth',
]);

/**
 * Judges a reply by its code alone (RFC 5321, section 4.2.1): 2xx is sent, 4xx is tried again, 5xx is final. 503, a bad
 * sequence of commands, is about the session and is tried again, as is anything that is no definite answer.
 */
export function judgeReply(code: number | null): ReplyVerdict {
  if (code === null) return 'retry';
  if (code >= 200 && code < 300) return 'sent';
  return code >= 500 && code < 600 && code !== 503 ? 'error' : 'retry';
}

/**
 * Judges a failed session or transaction. Once the body was begun only a 4xx or 5xx reply to it is definite; a lost
 * connection then leaves the message uncertain. Before that a lost connection is tried again.
 */
export function judgeFailure(failure: SmtpFailure): FailureJudgement {
  if (ACCOUNT_STEPS.has(failure.step)) {
    return {
      kind: 'account-trouble',
      reason: `${failure.step}: ${failure.reply || failure.causeCode || 'failed'}`,
    };
  }
  if (failure.isLocalRefusal) return { kind: 'message', verdict: 'error' };
  const isRefusal = failure.code !== null && failure.code >= 400 && failure.code < 600;
  if (failure.bodyStarted && !(failure.step === 'final' && isRefusal)) return { kind: 'uncertain' };
  return { kind: 'message', verdict: judgeReply(failure.code) === 'error' ? 'error' : 'retry' };
}

/**
 * Judges every recipient of a transaction one by one: a refusal of its own decides first, then what became of the
 * transaction as a whole.
 */
export function judgeOutcome(outcome: SendOutcome): RecipientJudgement[] {
  const whole = wholeVerdict(outcome);
  return outcome.recipients.map((recipient) => {
    const isRefused = !recipient.accepted && recipient.code !== null && recipient.code >= 400;
    const verdict = isRefused
      ? judgeReply(recipient.code)
      : recipient.accepted || outcome.failure
        ? whole
        : 'retry';
    return { ...recipient, verdict };
  });
}

function wholeVerdict({ final, failure }: SendOutcome): ReplyVerdict | 'uncertain' {
  if (!failure) return judgeReply(final?.code ?? null);
  const judgement = judgeFailure(failure);
  if (judgement.kind === 'message') return judgement.verdict;
  return judgement.kind === 'uncertain' ? 'uncertain' : 'retry';
}

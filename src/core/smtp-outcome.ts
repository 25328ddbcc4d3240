import type { SmtpReply } from './smtp-reply.js';

/**
 * Where a session with an SMTP server stood when it failed. `tls` is the handshake of either mode, `starttls` the
 * command that asks for it, `final` the reply to the end of the message.
 */
export type SmtpStep =
  | 'dns'
  | 'connect'
  | 'tls'
  | 'greeting'
  | 'ehlo'
  | 'starttls'
  | 'auth'
  | 'mail'
  | 'rcpt'
  | 'data'
  | 'body'
  | 'final';

/** Reasons of our own not to offer a message to this server at all; no attempt can change them. */
export type LocalRefusal = 'ADDRESS_INVALID' | 'MESSAGE_TOO_LARGE' | 'SMTPUTF8_REQUIRED';

const LOCAL_REFUSALS: ReadonlySet<string> = new Set<LocalRefusal>([
  'ADDRESS_INVALID',
  'MESSAGE_TOO_LARGE',
  'SMTPUTF8_REQUIRED',
]);

/** What is known of a failure; `reply` is the server's own words, made printable, or empty. */
export interface SmtpFailureDetails extends SmtpReply {
  step: SmtpStep;
  /** Cause as a code: of the system (`ECONNREFUSED`), of TLS (`CERT_HAS_EXPIRED`), or of ours. */
  causeCode: string | null;
  /** Whether a byte of the message may have reached the server, that is: the mark was made and the body begun. */
  bodyStarted: boolean;
}

/** A session or transaction that failed as a whole. Holds no credential, whatever the server echoed. */
export class SmtpFailure extends Error implements SmtpFailureDetails {
  override readonly name = 'SmtpFailure';
  readonly step: SmtpStep;
  readonly code: number | null;
  readonly enhanced: string | null;
  readonly reply: string;
  readonly causeCode: string | null;
  readonly bodyStarted: boolean;

  constructor(details: Partial<SmtpFailureDetails> & Pick<SmtpFailureDetails, 'step'>) {
    const { step, code = null, enhanced = null, reply = '', causeCode = null, bodyStarted = false } = details;
    super(`SMTP failed at ${step}: ${reply || causeCode || 'no reason known'}`);
    this.step = step;
    this.code = code;
    this.enhanced = enhanced;
    this.reply = reply;
    this.causeCode = causeCode;
    this.bodyStarted = bodyStarted;
  }

  /** Whether the message was never offered because this server cannot take it. */
  get isLocalRefusal(): boolean {
    return this.causeCode !== null && LOCAL_REFUSALS.has(this.causeCode);
  }
}

/** What the server said about one recipient. */
export interface RecipientOutcome extends SmtpReply {
  address: string;
  /** Whether the server took the RCPT command; whether the message was taken is for the final reply to say. */
  accepted: boolean;
}

/**
 * How one transaction ended: a result for each envelope recipient in envelope order, the final reply when the body was
 * answered, and the failure when the transaction as a whole failed. All recipients refused is no such failure.
 */
export interface SendOutcome {
  recipients: RecipientOutcome[];
  final: SmtpReply | null;
  failure: SmtpFailure | null;
}

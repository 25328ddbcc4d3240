import { isAscii } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { SMTPConnectionSendInfo } from 'nodemailer/lib/smtp-connection';
import { type SendOutcome, SmtpFailure } from '../core/smtp-outcome.js';
import { parseReply, type SmtpReply } from '../core/smtp-reply.js';
import type { Envelope } from '../core/types.js';
import { DestinationRefused } from './destination-guard.js';
import { MarkedBody } from './marked-body.js';
import { SmtpChannel } from './smtp-channel.js';
import { refuseEnvelope } from './smtp-envelope.js';
import {
  SMTP_TIMEOUTS,
  type SmtpEndpoint,
  type SmtpTimeouts,
  smtpConnectionOptions,
} from './smtp-options.js';
import {
  openingStep,
  recipientOutcomes,
  redact,
  type SmtpLibraryError,
  sendingStep,
  type TrackedEnvelope,
  translateError,
} from './smtp-translate.js';

/** How a session is opened. */
export interface OpenOptions {
  /** Closes the connection while it is being opened. */
  signal?: AbortSignal;
  /** EHLO name. */
  hello?: string;
  timeouts?: Partial<SmtpTimeouts>;
}

/** Bytes per millisecond that a body must at least make on top of the send timeout: 10 kB a second. */
const SLOWEST_BODY = 10;
const NO_REPLY: SmtpReply = { code: null, enhanced: null, reply: '' };

/**
 * One authenticated connection to an SMTP server, for one transaction at a time. It never sends over less protection
 * than its endpoint asks for, and turns whatever goes wrong into an {@link SmtpFailure}.
 */
export class SmtpSession {
  /** Transactions begun so far. */
  messages = 0;
  readonly #endpoint: SmtpEndpoint;
  readonly #timeouts: SmtpTimeouts;
  readonly #channel: SmtpChannel;
  #extensions = '';
  #needsReset = false;

  private constructor(endpoint: SmtpEndpoint, options: OpenOptions, dial?: string) {
    this.#endpoint = endpoint;
    this.#timeouts = { ...SMTP_TIMEOUTS, ...options.timeouts };
    this.#channel = new SmtpChannel(smtpConnectionOptions(endpoint, options.hello, this.#timeouts, dial));
  }

  /**
   * Connects, greets, protects and authenticates.
   * @throws SmtpFailure at a step before `mail`.
   * @throws MailProxyError `validation_failed` for an EHLO name that is none.
   */
  static async open(endpoint: SmtpEndpoint, options: OpenOptions = {}): Promise<SmtpSession> {
    const session = new SmtpSession(endpoint, options, await dialled(endpoint));
    try {
      await session.#open(options.signal);
    } catch (error) {
      session.close();
      throw error;
    }
    return session;
  }

  /** Whether a transaction can be begun: connected, not half closed, and none under way. */
  get isUsable(): boolean {
    return this.#channel.isUsable;
  }

  /** Called once when the connection is gone, whoever ended it. */
  set onClose(listener: (() => void) | null) {
    this.#channel.onClose = listener;
  }

  /**
   * Offers one message. `beforeBody` is called at most once, after the server's 354 and before the first byte of the
   * message; no byte follows until it has resolved, and the result comes only after it has settled.
   * @returns what the server said; refusals and lost connections are part of it, not thrown.
   * @throws what `beforeBody` rejects with, after the connection was destroyed; the server then has no message.
   */
  async send(envelope: Envelope, message: Buffer, beforeBody: () => Promise<void>): Promise<SendOutcome> {
    const tracked: TrackedEnvelope = {
      from: envelope.from,
      to: [...envelope.to],
      size: message.length,
      use8BitMime: !isAscii(message),
    };
    const refusal = refuseEnvelope(envelope, /^250[ -]SMTPUTF8\b/im.test(this.#extensions));
    if (refusal) return this.#failed(tracked, new SmtpFailure({ step: 'mail', causeCode: refusal }));
    try {
      if (this.#needsReset) await this.reset();
    } catch {
      // Whatever RSET was answered with, it says nothing about this message, only that the session is of no use.
      this.close();
      return this.#failed(tracked, new SmtpFailure({ step: 'mail', causeCode: 'ECONNECTION' }));
    }
    this.messages += 1;
    this.#needsReset = true;
    let isEarly = false;
    const body = new MarkedBody(message, async () => {
      // The library goes on after any 2xx or 3xx; only 354 asks for the body (RFC 5321, section 4.3.2), and what is sent
      // without it would be read as commands.
      isEarly = !/^354/.test(this.#channel.connection.lastServerResponse || '');
      if (isEarly) throw new Error('The server did not ask for the message.');
      await beforeBody();
    });
    const sent = await this.#transact(tracked, body).catch(asFailure);
    if (!body.ended && body.asked) this.close();
    await body.stop();
    if (isEarly) return this.#failed(tracked, new SmtpFailure({ step: 'data', causeCode: 'EPROTOCOL' }));
    if (body.refusal) throw body.refusal.reason;
    return sent instanceof SmtpFailure ? this.#failed(tracked, sent) : sent;
  }

  /**
   * Ends an open transaction (RSET) and thereby proves that the server still listens.
   * @param timeout - Milliseconds the server may take.
   * @throws SmtpFailure at step `mail`.
   */
  async reset(timeout = this.#timeouts.open): Promise<void> {
    await this.#channel.run<boolean>({
      start: (done) => this.#channel.connection.reset(done),
      fail: (error) => translateError(error, 'mail', this.#endpoint),
      timeout,
    });
    this.#needsReset = false;
  }

  /** Says QUIT and resolves once the connection is closed, by the server or for want of an answer; never rejects. */
  quit(): Promise<void> {
    return this.#channel.quit(this.#timeouts.quit);
  }

  /** Destroys the connection at once; what was not yet sent never will be. */
  close(): void {
    this.#channel.close();
  }

  async #open(signal?: AbortSignal): Promise<void> {
    const { connection } = this.#channel;
    await this.#channel.run<void>({
      start: (done) => connection.connect((error) => done(error)),
      fail: (error) => translateError(error, openingStep(connection, this.#endpoint, error), this.#endpoint),
      timeout: this.#timeouts.open,
      signal,
    });
    // The library has seen to this already; nothing may be sent in clear if it ever does not.
    if (this.#endpoint.tls !== 'none' && !connection.secure) {
      throw new SmtpFailure({ step: 'starttls', causeCode: 'NOT_SECURE' });
    }
    this.#extensions = connection.lastServerResponse || '';
    await this.#login(signal);
  }

  async #login(signal?: AbortSignal): Promise<void> {
    const { user, password } = this.#endpoint;
    if (user === null && password === null) return;
    if (!user || !password) throw new SmtpFailure({ step: 'auth', causeCode: 'CREDENTIALS_INCOMPLETE' });
    if (!/^250[ -]AUTH[ =](.*[ =])?(PLAIN|LOGIN|CRAM-MD5)(?=[\s=]|$)/im.test(this.#extensions)) {
      throw new SmtpFailure({ step: 'auth', causeCode: 'AUTH_NOT_OFFERED' });
    }
    await this.#channel.run<boolean>({
      start: (done) => this.#channel.connection.login({ user, pass: password }, done),
      fail: (error) => translateError(error, 'auth', this.#endpoint),
      timeout: this.#timeouts.open,
      signal,
    });
  }

  async #transact(tracked: TrackedEnvelope, body: MarkedBody): Promise<SendOutcome> {
    const fail = (error: SmtpLibraryError): SmtpFailure => {
      const step = sendingStep(tracked, body, error);
      return translateError(error, step, this.#endpoint, body.started);
    };
    let refusedAll = false;
    const sending = this.#channel.run<SMTPConnectionSendInfo>({
      // All that the library asks of a message is to be piped and destroyed.
      start: (done) => this.#channel.connection.send(tracked, body as unknown as Readable, done),
      fail: (error) => {
        refusedAll = error.rejectedErrors?.length === tracked.to.length;
        return fail(error);
      },
      timeout: this.#timeouts.send + tracked.size / SLOWEST_BODY,
    });
    const info = await sending.catch((error: unknown) => {
      if (refusedAll) return null;
      throw error;
    });
    if (!info) {
      return { recipients: recipientOutcomes(tracked, NO_REPLY, this.#endpoint), final: null, failure: null };
    }
    const final = redact(parseReply(info.response), this.#endpoint);
    // A yes to a message that is not all there answers something else, and a reply that contradicts itself nothing.
    if (!body.ended || final.code === null) throw fail(Object.assign(new Error(), { code: 'EPROTOCOL' }));
    this.#needsReset = false;
    return { recipients: recipientOutcomes(tracked, final, this.#endpoint), final, failure: null };
  }

  #failed(tracked: TrackedEnvelope, failure: SmtpFailure): SendOutcome {
    const final = failure.step === 'final' && failure.code !== null ? failure : null;
    // Recipients pipelined behind a refused MAIL get "bad sequence" or worse; the sender's refusal is the answer.
    const answered: TrackedEnvelope =
      failure.step === 'mail' ? { ...tracked, accepted: [], rejectedErrors: [] } : tracked;
    return {
      recipients: recipientOutcomes(answered, failure, this.#endpoint),
      final: final && { code: final.code, enhanced: final.enhanced, reply: final.reply },
      failure,
    };
  }
}

function asFailure(error: unknown): SmtpFailure {
  if (error instanceof SmtpFailure) return error;
  throw error;
}

/** The address to dial where a tenant chose the host. @throws SmtpFailure at step `dns`. */
async function dialled({ host, guard }: SmtpEndpoint): Promise<string | undefined> {
  if (guard === undefined) return undefined;
  try {
    return await guard(host);
  } catch (error) {
    if (error instanceof DestinationRefused) {
      throw new SmtpFailure({ step: 'dns', causeCode: 'DESTINATION_REFUSED' });
    }
    const causeCode = error instanceof Error && 'code' in error ? String(error.code) : null;
    throw new SmtpFailure({ step: 'dns', causeCode });
  }
}

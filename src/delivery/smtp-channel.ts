import SMTPConnection, { type SMTPConnectionOptions } from 'nodemailer/lib/smtp-connection';
import type { SmtpFailure } from '../core/smtp-outcome.js';
import type { Millis } from '../core/types.js';
import type { SmtpLibraryError } from './smtp-translate.js';

/** Callback of a command of the library. */
type Done<T> = (error?: SmtpLibraryError | null, value?: T) => void;

/** One command to run. */
export interface Command<T> {
  start: (done: Done<T>) => void;
  /** Makes the failure to reject with; called while the connection still shows where it stood. */
  fail: (error: SmtpLibraryError) => SmtpFailure;
  /** For the whole command, however lively the server is. */
  timeout: Millis;
  signal?: AbortSignal | undefined;
}

/**
 * nodemailer's connection as something that runs one command at a time and always says how it ended: the library itself
 * leaves a callback uncalled when the connection ends under it, and knows no limit for a server that keeps talking.
 */
export class SmtpChannel {
  /** Called once when the connection is gone, whoever ended it. */
  onClose: (() => void) | null = null;
  readonly connection: SMTPConnection;
  #isClosed = false;
  #isBusy = false;
  #onError: ((error: SmtpLibraryError) => void) | null = null;
  #onEnd: (() => void) | null = null;

  constructor(options: SMTPConnectionOptions) {
    this.connection = new SMTPConnection(options);
    // An error of an idle connection is no event of its own: the connection closes, and that is told.
    this.connection.on('error', (error: SmtpLibraryError) => this.#onError?.(error));
    this.connection.once('end', () => {
      this.#isClosed = true;
      this.#onEnd?.();
      this.onClose?.();
    });
  }

  /** Whether a command can be begun: connected, not half closed, and none under way. */
  get isUsable(): boolean {
    const socket = this.connection._socket;
    return !this.#isClosed && !this.#isBusy && !!socket && !socket.destroyed && socket.writable;
  }

  /**
   * Runs one command; a timeout or an abort closes the connection.
   * @throws SmtpFailure as `fail` makes it.
   */
  async run<T>({ start, fail, timeout, signal }: Command<T>): Promise<T | undefined> {
    if (this.#isBusy) throw new Error('An SMTP session does one thing at a time.');
    this.#isBusy = true;
    let timer: NodeJS.Timeout | undefined;
    let abort = () => {};
    try {
      return await new Promise<T | undefined>((resolve, reject) => {
        const give = (error: SmtpLibraryError) => reject(fail(error));
        const giveCode = (code: string) => give(Object.assign(new Error(code), { code }));
        const stop = (code: string) => {
          giveCode(code);
          this.close();
        };
        abort = () => stop('ABORT_ERR');
        timer = setTimeout(() => stop('ETIMEDOUT'), timeout);
        this.#onError = give;
        // The library closes first and tells why right after.
        this.#onEnd = () => queueMicrotask(() => giveCode('ECONNECTION'));
        if (signal?.aborted) return abort();
        signal?.addEventListener('abort', abort, { once: true });
        start((error, value) => (error ? give(error) : resolve(value)));
      });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', abort);
      this.#onError = null;
      this.#onEnd = null;
      this.#isBusy = false;
    }
  }

  /** Says QUIT and resolves once the connection is closed, by the server or by the timeout; never rejects. */
  async quit(timeout: Millis): Promise<void> {
    if (!this.isUsable) return this.close();
    this.#isBusy = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => this.close(), timeout).unref();
      this.#onEnd = () => {
        clearTimeout(timer);
        resolve();
      };
      this.connection.quit();
    });
  }

  /** Destroys the connection at once; what was not yet sent never will be. */
  close(): void {
    this.connection.close();
  }
}

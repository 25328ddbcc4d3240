import { setMaxListeners } from 'node:events';
import { MailProxyError } from '../core/errors.js';
import { failPoint } from '../core/fail-points.js';
import type { SendOutcome } from '../core/smtp-outcome.js';
import type { Envelope, Millis } from '../core/types.js';
import type { QueuePlace } from './sender.js';
import type { SmtpEndpoint, SmtpTimeouts } from './smtp-options.js';
import { SmtpSession } from './smtp-session.js';

/** How the connections of one lane are kept. */
export interface SessionPoolOptions {
  maxConnections: number;
  /** EHLO name. */
  hello?: string;
  /** Transactions after which a connection is closed. @defaultValue 100 */
  maxMessages?: number;
  /** How long an unused connection is kept. @defaultValue 30 seconds */
  idleTimeout?: Millis;
  /** A connection unused for longer than this is asked whether it still lives. @defaultValue 1 second */
  trustFor?: Millis;
  timeouts?: Partial<SmtpTimeouts>;
}

/** How long a server that let in fewer connections than it was asked for is asked for no more. */
const FEWER_FOR: Millis = 60_000;
/** The place of what names none. */
export const FIRST_COME: QueuePlace = [0, 0, 0];
/** How long an idle connection may take to prove that it lives, in milliseconds. */
const LIVENESS_TIMEOUT = 5_000;

interface IdleSession {
  session: SmtpSession;
  since: Millis;
  timer: NodeJS.Timeout;
}

interface Waiter {
  place: QueuePlace;
  /** Called with a session, or with null for leave to open one. */
  give(session: SmtpSession | null): void;
  fail(error: Error): void;
}

/**
 * The connections of one lane to its one server. The owner makes one pool for each tenant, account and credential
 * version, so no connection is shared across tenants or outlives a changed password.
 */
export class SessionPool {
  readonly #endpoint: SmtpEndpoint;
  readonly #options: Required<Omit<SessionPoolOptions, 'hello' | 'timeouts'>>;
  readonly #open: Pick<SessionPoolOptions, 'hello' | 'timeouts'>;
  readonly #idle: IdleSession[] = [];
  readonly #leased = new Set<SmtpSession>();
  readonly #waiters: Waiter[] = [];
  readonly #stop = stopSignal();
  #places = 0;
  #fewer = 0;
  #fewerUntil: Millis = 0;
  #isDraining = false;
  #onEmpty: (() => void) | null = null;

  constructor(endpoint: SmtpEndpoint, { hello, timeouts, ...options }: SessionPoolOptions) {
    this.#endpoint = endpoint;
    this.#options = { maxMessages: 100, idleTimeout: 30_000, trustFor: 1_000, ...options };
    this.#open = {
      ...(hello === undefined ? {} : { hello }),
      ...(timeouts === undefined ? {} : { timeouts }),
    };
  }

  /** Connections there are, being opened or closed included. */
  get size(): number {
    return this.#places;
  }

  /**
   * Gives a session nobody else has: the one used last, a new one, or, when all are in use, the next that is free. One
   * that the server closed while it was idle is replaced without a word, and a server that lets in fewer than allowed is content
   * with those.
   * @param place - Decides who is served first of those that wait.
   * @throws SmtpFailure when a new connection cannot be opened and there is no other.
   * @throws MailProxyError `cancelled` once the pool is being drained, or gave up what waits.
   */
  async acquire(place: QueuePlace = FIRST_COME): Promise<SmtpSession> {
    let session: SmtpSession | null = null;
    while (!session) {
      // From here to what is awaited nothing else runs, so that no release can slip in between and be missed.
      if (this.#isDraining) throw drained();
      const idle = this.#idle.pop();
      if (idle) session = await this.#wake(idle);
      else if (this.#places < this.#most) session = await this.#openInNewPlace();
      else session = (await this.#waitForTurn(place)) ?? (await this.#openSession());
    }
    // The pool may have been drained while this waited; then the place is given back.
    if (this.#isDraining) {
      this.#retire(session);
      throw drained();
    }
    this.#leased.add(session);
    return session;
  }

  /** Takes a session back. One that cannot be used again, or has served enough, is closed and its place given away. */
  release(session: SmtpSession): void {
    if (!this.#leased.delete(session)) return;
    if (this.#isDraining || !session.isUsable || session.messages >= this.#options.maxMessages) {
      this.#retire(session);
      return;
    }
    const waiter = this.#waiters.shift();
    if (waiter) {
      waiter.give(session);
      return;
    }
    const timer = setTimeout(() => this.#retireIdle(session), this.#options.idleTimeout).unref();
    session.onClose = () => this.#retireIdle(session);
    this.#idle.push({ session, since: Date.now(), timer });
  }

  /**
   * Sends one message over a pooled session. When a session that had been used before turns out dead, or closing (421),
   * at MAIL, the message goes over a new one at once: that is the server tidying up, not an answer.
   * @throws like {@link acquire} and {@link SmtpSession.send}.
   */
  async send(
    envelope: Envelope,
    message: Buffer,
    beforeBody: () => Promise<void>,
    place?: QueuePlace,
  ): Promise<SendOutcome> {
    for (;;) {
      const session = await this.acquire(place);
      failPoint('connected');
      const wasUsed = session.messages > 0;
      try {
        const outcome = await session.send(envelope, message, beforeBody);
        if (!(wasUsed && isStale(outcome))) return outcome;
        session.close();
      } finally {
        this.release(session);
      }
    }
  }

  /** Gives up what waits for a connection. */
  abandonWaiting(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.fail(drained());
  }

  /** Closes what is idle or being opened now, and what is in use when it is released; resolves when no connection is left. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.abandonWaiting();
    this.#stop.abort();
    for (const { session } of [...this.#idle]) this.#retireIdle(session);
    if (this.#places === 0) return;
    await new Promise<void>((resolve) => {
      const before = this.#onEmpty;
      this.#onEmpty = () => {
        before?.();
        resolve();
      };
    });
  }

  /** Closes everything at once, also what is in use; a body under way is cut off. */
  async destroy(): Promise<void> {
    const empty = this.drain();
    for (const session of [...this.#leased]) {
      session.close();
      this.release(session);
    }
    await empty;
  }

  /** Makes an idle session ready, or ends it and gives null when the server closed it meanwhile. */
  async #wake({ session, since, timer }: IdleSession): Promise<SmtpSession | null> {
    clearTimeout(timer);
    session.onClose = null;
    const isFresh = Date.now() - since <= this.#options.trustFor;
    if (session.isUsable && (isFresh || (await lives(session)))) return session;
    this.#retire(session);
    return null;
  }

  /** Connections that there may be now: fewer for a while where the server let no more in. */
  get #most(): number {
    return Date.now() < this.#fewerUntil ? this.#fewer : this.#options.maxConnections;
  }

  #openInNewPlace(): Promise<SmtpSession | null> {
    this.#places += 1;
    return this.#openSession();
  }

  #waitForTurn(place: QueuePlace): Promise<SmtpSession | null> {
    return new Promise((give, fail) => {
      // Behind all that come before it in the queue, or that were here first.
      let at = this.#waiters.length;
      while (at > 0 && isBefore(place, (this.#waiters[at - 1] as Waiter).place)) at--;
      this.#waiters.splice(at, 0, { place, give, fail });
    });
  }

  /**
   * Null when it failed beside others: the server may let in no more than these, and who wants one waits for them. The last one
   * says what is wrong.
   */
  async #openSession(): Promise<SmtpSession | null> {
    try {
      return await SmtpSession.open(this.#endpoint, { ...this.#open, signal: this.#stop.signal });
    } catch (error) {
      if (this.#places > 1 && !this.#isDraining) {
        this.#places -= 1;
        this.#fewer = Math.max(1, this.#places);
        this.#fewerUntil = Date.now() + FEWER_FOR;
        return null;
      }
      this.#leavePlace();
      // That it was given up says nothing about the server.
      throw this.#isDraining ? drained() : error;
    }
  }

  #retireIdle(session: SmtpSession): void {
    const position = this.#idle.findIndex((idle) => idle.session === session);
    const [idle] = position < 0 ? [] : this.#idle.splice(position, 1);
    if (!idle) return;
    clearTimeout(idle.timer);
    this.#retire(session);
  }

  /** Ends a session; its place is free only when the server knows. */
  #retire(session: SmtpSession): void {
    session.onClose = null;
    void session.quit().then(() => this.#leavePlace());
  }

  #leavePlace(): void {
    const waiter = this.#waiters.shift();
    if (waiter) {
      waiter.give(null);
      return;
    }
    this.#places -= 1;
    if (this.#places === 0) this.#onEmpty?.();
  }
}

/** Whether what has one place in the queue is served before what has another. */
export function isBefore(
  [priority, dueAt, pk]: QueuePlace,
  [otherPriority, otherDueAt, otherPk]: QueuePlace,
): boolean {
  return (priority - otherPriority || dueAt - otherDueAt || pk - otherPk) < 0;
}

/** Whether a transaction failed before it began because the connection was already ending. */
function isStale({ failure }: SendOutcome): boolean {
  if (failure?.step !== 'mail' || failure.bodyStarted || failure.isLocalRefusal) return false;
  if (failure.code !== null) return failure.code === 421;
  return failure.reply === '' && failure.causeCode !== 'ETIMEDOUT';
}

async function lives(session: SmtpSession): Promise<boolean> {
  return await session.reset(LIVENESS_TIMEOUT).then(
    () => true,
    () => false,
  );
}

/** One signal for all connections that are being opened, however many there may be. */
function stopSignal(): AbortController {
  const stop = new AbortController();
  setMaxListeners(0, stop.signal);
  return stop;
}

/** Why a message that waited for a connection got none. */
export function drained(): MailProxyError {
  return new MailProxyError(
    'cancelled',
    'Sending over this account was stopped; what waits is sent when it resumes.',
  );
}

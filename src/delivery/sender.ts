import type { SendOutcome } from '../core/smtp-outcome.js';
import type { ContentKind, Envelope } from '../core/types.js';
import type { SmtpEndpoint } from './smtp-options.js';

/** Where the connections of a lane go; `isGuarded` where a tenant chose the host. */
export interface SenderEndpoint extends Omit<SmtpEndpoint, 'guard'> {
  isGuarded: boolean;
}

/** What is sent, as it is stored: it is composed only when it is sent. */
export interface StoredContent {
  kind: ContentKind;
  content: Buffer;
}

/** Where a message stands in its lane: priority, then first come. */
export type QueuePlace = readonly [priority: number, dueAt: number, pk: number];

/** One message as it is handed to connections. */
export interface Order extends StoredContent {
  envelope: Envelope;
  place: QueuePlace;
  /** Whether this thread is about to be busy: then it is not collected with others before it is handed over. */
  isHurried?: boolean;
}

/** The connections of one lane, wherever they run. */
export interface Connections {
  /**
   * Composes one message and offers it over a connection that nobody else has; what waits for one is served in the order of
   * the queue, whenever it came.
   *
   * @param order - Its content is given away: it may be empty to the caller afterwards.
   * @param mark - Called at most once, after the server's 354; no byte of the message goes out before it has resolved.
   * @throws SmtpFailure when no connection can be opened, MailProxyError `cancelled` when it was abandoned, what
   * `mark` rejects with, and what composing throws.
   */
  send(order: Order, mark: () => Promise<void>): Promise<SendOutcome>;
  /** Gives up what waits for a connection; what is on one goes on. */
  abandonWaiting(): void;
  /**
   * Takes nothing more, gives up what has no connection, and closes each one as soon as it is not in use; resolves when none
   * is left.
   */
  drain(): Promise<void>;
  /** Closes everything at once, also what is in use. */
  destroy(): Promise<void>;
}

/** Makes connections. */
export interface Sender {
  open(endpoint: SenderEndpoint, options: { maxConnections: number }): Connections;
  /** Ends what it runs on; its connections were drained or destroyed before. */
  close(): Promise<void>;
}

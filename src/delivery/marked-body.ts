import { type Duplex, Stream } from 'node:stream';
import { failPoint } from '../core/fail-points.js';

/** Bytes handed over at a time, so that a large message does not hold the event loop while dots are stuffed. */
const CHUNK_SIZE = 64 * 1024;

/**
 * A message that asks for permission before its first byte. nodemailer pipes it only after the server's 354, so
 * `beforeBody` runs at the one moment between "offered" and "perhaps accepted" where a durable mark belongs.
 *
 * It is a source to pipe from and no more: a `Readable` would buffer what is in memory already, at the cost of composing a message.
 */
export class MarkedBody extends Stream {
  /** Whether permission was asked for. */
  asked = false;
  /** Whether a byte was handed over. */
  started = false;
  /** Whether the last byte was taken. */
  ended = false;
  /** Why permission was refused, wrapped so that any thrown value counts. */
  refusal: { reason: unknown } | null = null;
  readonly #message: Buffer;
  readonly #beforeBody: () => Promise<void>;
  #permission: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(message: Buffer, beforeBody: () => Promise<void>) {
    super();
    this.#message = message;
    this.#beforeBody = beforeBody;
    // nodemailer listens too while it sends; this one is for an error after it let go of the message.
    this.on('error', () => {});
  }

  /** Called by nodemailer once the server asked for the message. */
  override pipe<T extends NodeJS.WritableStream>(destination: T): T {
    this.asked = true;
    this.#permission = Promise.resolve()
      .then(this.#beforeBody)
      .then(
        () => this.#handOver(destination as unknown as Duplex, 0),
        (reason: unknown) => {
          this.refusal = { reason };
          this.emit('error', new Error('The message was not released.'));
        },
      );
    return destination;
  }

  /** Called by nodemailer when the message is not going to be sent. */
  destroy(): void {
    this.#isStopped = true;
  }

  /** Stops the body and resolves once `beforeBody`, if it was asked, has settled; never rejects. */
  async stop(): Promise<void> {
    this.destroy();
    await this.#permission;
  }

  #handOver(destination: Duplex, from: number): void {
    if (this.#isStopped || destination.destroyed) return;
    this.started = true;
    const end = Math.min(from + CHUNK_SIZE, this.#message.length);
    const wantsMore = destination.write(this.#message.subarray(from, end));
    failPoint('body-begun');
    if (end < this.#message.length) {
      if (wantsMore) setImmediate(() => this.#handOver(destination, end));
      else destination.once('drain', () => this.#handOver(destination, end));
      return;
    }
    // When the library's stream, which stuffs the dots, has passed all of it on.
    destination.once('end', () => {
      this.ended = true;
      failPoint('body-ended');
    });
    destination.end();
  }
}

import { Readable } from 'node:stream';
import { failPoint } from '../core/fail-points.js';

/** Bytes handed over at a time, so that a large message does not hold the event loop while dots are stuffed. */
const CHUNK_SIZE = 64 * 1024;

/**
 * A message as a stream that asks for permission before its first byte. nodemailer reads it only after the server's
 * 354, so `beforeBody` runs at the one moment between "offered" and "perhaps accepted" where a durable mark belongs.
 */
export class MarkedBody {
  readonly stream: Readable;
  /** Whether permission was asked for. */
  asked = false;
  /** Whether a byte was handed over. */
  started = false;
  /** Whether the last byte was taken. */
  ended = false;
  /** Why permission was refused, wrapped so that any thrown value counts. */
  refusal: { reason: unknown } | null = null;
  #permission: Promise<void> = Promise.resolve();

  constructor(message: Buffer, beforeBody: () => Promise<void>) {
    let offset = 0;
    const pushNext = () => {
      if (this.stream.destroyed) return;
      this.started = true;
      const chunk = message.subarray(offset, offset + CHUNK_SIZE);
      offset += chunk.length;
      this.stream.push(chunk.length > 0 ? chunk : null);
      if (chunk.length > 0) failPoint('body-begun');
    };
    this.stream = new Readable({
      read: () => {
        if (this.asked) return pushNext();
        this.asked = true;
        this.#permission = Promise.resolve()
          .then(beforeBody)
          .then(pushNext, (reason: unknown) => {
            this.refusal = { reason };
            this.stream.destroy(new Error('The message was not released.'));
          });
      },
    });
    this.stream.once('end', () => {
      this.ended = true;
      failPoint('body-ended');
    });
    // nodemailer listens too while it sends; this one is for an error after it let go of the stream.
    this.stream.on('error', () => {});
  }

  /** Stops the body and resolves once `beforeBody`, if it was asked, has settled; never rejects. */
  async stop(): Promise<void> {
    if (!this.ended) this.stream.destroy();
    await this.#permission;
  }
}

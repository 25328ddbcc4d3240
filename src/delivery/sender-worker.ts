import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../config/package-root.js';
import { keepHeapSmall } from '../config/small-heap.js';
import { Outbox } from './outbox.js';
import type { FromSender, PlainOrder, ToSender } from './sender-protocol.js';
import type { SenderThreadData } from './sender-thread.js';

/** Who hears of a thread. */
export interface SenderWorkerEvents {
  heard(said: FromSender): void;
  /** It is about to end for this reason. */
  failed(error: unknown): void;
  /** It has ended, for whatever reason; nothing is heard of it any more. */
  ended(): void;
}

/** Content from this size on is moved to the thread instead of copied, bytes. */
const MOVED_FROM = 64 * 1024;
/** How long the thread may take to end by itself. */
const CLOSE_MS = 1000;

/** One started thread that sends, and what is said to it. What is said after its end goes nowhere, never to another thread. */
export class SenderWorker {
  readonly #worker: Worker;
  readonly #orders: Outbox<ToSender>;

  /** @throws Error when the system has no room for another thread. */
  constructor(data: SenderThreadData, { heard, failed, ended }: SenderWorkerEvents) {
    const worker = new Worker(join(packageRoot(), 'lib', 'delivery', 'sender-thread.js'), {
      workerData: data,
      // Nothing of the daemon's own environment is needed, and it may hold secrets.
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 12, maxOldGenerationSizeMb: 512 },
    });
    this.#worker = worker;
    // At once: before the next turn stands the next transaction, and a connection waits for each mark.
    this.#orders = new Outbox('step', (orders) => worker.postMessage(orders, largeContentsOf(orders)));
    worker.on('message', (said: FromSender[]) => {
      for (const one of said) heard(one);
    });
    worker.once('online', keepHeapSmall);
    worker.on('error', failed);
    worker.on('exit', ended);
  }

  /** Says something, soon. */
  say(order: ToSender): void {
    this.#orders.say(order);
  }

  /** Says something at once, to have it heard while this thread goes on with what it does. */
  sayNow(order: ToSender): void {
    this.#orders.say(order);
    this.#orders.flush();
  }

  /** Has it end by itself, or ends it; resolves when it has. */
  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#worker.once('exit', resolve));
    this.#orders.flush();
    this.#worker.postMessage('close');
    const timer = setTimeout(() => void this.#worker.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(timer);
  }
}

/**
 * Content in memory of its own: what is posted or moved takes all of its memory along, also what others have in it, such as
 * Node's pool of small buffers.
 */
export function ownContent(content: Buffer): PlainOrder['content'] {
  return content.byteLength === content.buffer.byteLength ? content : new Uint8Array(content);
}

function largeContentsOf(orders: readonly ToSender[]): ArrayBuffer[] {
  const large = new Set<ArrayBuffer>();
  for (const order of orders) {
    if (order.do !== 'send') continue;
    const { buffer, byteLength } = order.order.content;
    if (byteLength >= MOVED_FROM && byteLength === buffer.byteLength) large.add(buffer as ArrayBuffer);
  }
  return [...large];
}

import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { packageRoot } from '../config/package-root.js';
import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import type { SendOutcome } from '../core/smtp-outcome.js';
import type { Envelope } from '../core/types.js';
import { Outbox } from './outbox.js';
import type { Connections, Order, Sender, SenderEndpoint } from './sender.js';
import { type FromSender, revive, type SentResult, type ToSender } from './sender-protocol.js';
import type { SenderThreadData } from './sender-thread.js';

interface Sending {
  envelope: Envelope;
  mark: () => Promise<void>;
  /** Whether leave was given to hand the body over. */
  isMarked: boolean;
  refusal: unknown;
  resolve(outcome: SendOutcome): void;
  reject(reason: unknown): void;
}

interface OpenPool {
  endpoint: SenderEndpoint;
  maxConnections: number;
  onEmpty: Array<() => void>;
}

/** Content from this size on is moved to the other thread instead of copied, bytes. */
const MOVED_FROM = 64 * 1024;
/** How long the thread may take to end by itself. */
const CLOSE_MS = 1000;

/**
 * Sends in a thread of its own, which is started with the first connection: composing a message and talking to servers then
 * hold up neither the API nor the store. A thread that dies is replaced; what it was handing over is uncertain.
 */
export function createThreadSender(data: SenderThreadData, log: Log): Sender {
  return new ThreadSender(data, log);
}

class ThreadSender implements Sender {
  readonly #data: SenderThreadData;
  readonly #log: Log;
  readonly #pools = new Map<number, OpenPool>();
  readonly #sending = new Map<number, Sending>();
  readonly #orders = new Outbox<ToSender>((orders) => this.#post(orders));
  #worker: Worker | undefined;
  #isClosed = false;
  #lastId = 0;

  constructor(data: SenderThreadData, log: Log) {
    this.#data = data;
    this.#log = log;
  }

  open(endpoint: SenderEndpoint, { maxConnections }: { maxConnections: number }): Connections {
    const pool = ++this.#lastId;
    this.#pools.set(pool, { endpoint, maxConnections, onEmpty: [] });
    this.#orders.say({ do: 'open', pool, endpoint, maxConnections });
    return {
      send: (order, mark) => this.#send(pool, order, mark),
      abandonWaiting: () => this.#orders.say({ do: 'abandon', pool }),
      drain: () => this.#end('drain', pool),
      destroy: () => this.#end('destroy', pool),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const worker = this.#worker;
    if (worker === undefined) return;
    const gone = new Promise((resolve) => worker.once('exit', resolve));
    worker.postMessage('close');
    const timer = setTimeout(() => worker.terminate(), CLOSE_MS);
    await gone;
    clearTimeout(timer);
  }

  #send(pool: number, order: Order, mark: () => Promise<void>): Promise<SendOutcome> {
    if (!this.#pools.has(pool)) return Promise.reject(stopped());
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const { envelope } = order;
      this.#sending.set(id, { envelope, mark, isMarked: false, refusal: undefined, resolve, reject });
      this.#orders.say({ do: 'send', pool, id, order });
    });
  }

  #end(how: 'drain' | 'destroy', pool: number): Promise<void> {
    const open = this.#pools.get(pool);
    if (open === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      open.onEmpty.push(resolve);
      this.#orders.say({ do: how, pool });
    });
  }

  #post(orders: ToSender[]): void {
    if (this.#isClosed) return;
    this.#worker ??= this.#start();
    this.#worker.postMessage(orders, largeContentsOf(orders));
  }

  #start(): Worker {
    const worker = new Worker(join(packageRoot(), 'lib', 'delivery', 'sender-thread.js'), {
      workerData: this.#data,
      // Nothing of the daemon's own environment is needed, and it may hold secrets.
      env: {},
      resourceLimits: { maxYoungGenerationSizeMb: 16, maxOldGenerationSizeMb: 512 },
    });
    worker.on('message', (said: FromSender[]) => {
      for (const one of said) this.#hear(one);
    });
    worker.on('error', (error) => this.#log.error('The thread that sends failed', { err: error }));
    worker.on('exit', () => this.#lost(worker));
    return worker;
  }

  #hear(said: FromSender): void {
    switch (said.said) {
      case 'mark':
        this.#mark(said.id);
        break;
      case 'done':
        this.#done(said.id, said.result);
        break;
      case 'empty':
        this.#emptied(said.pool);
        break;
    }
  }

  #mark(id: number): void {
    const sending = this.#sending.get(id);
    sending?.mark().then(
      () => {
        sending.isMarked = true;
        this.#orders.say({ do: 'marked', id, ok: true });
      },
      (reason: unknown) => {
        sending.refusal = reason;
        this.#orders.say({ do: 'marked', id, ok: false });
      },
    );
  }

  #done(id: number, result: SentResult): void {
    const sending = this.#sending.get(id);
    if (sending === undefined) return;
    this.#sending.delete(id);
    try {
      sending.resolve(revive(result, sending.refusal));
    } catch (error) {
      sending.reject(error);
    }
  }

  #emptied(pool: number): void {
    const open = this.#pools.get(pool);
    this.#pools.delete(pool);
    for (const resolve of open?.onEmpty ?? []) resolve();
  }

  /** The thread is gone: what it had begun ends, and a new one opens what lanes still have. */
  #lost(worker: Worker): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    for (const [pool, { onEmpty }] of [...this.#pools]) if (onEmpty.length > 0) this.#emptied(pool);
    for (const [id, { isMarked, envelope }] of [...this.#sending])
      this.#done(id, isMarked ? cutOff(envelope) : CANCELLED);
    if (this.#isClosed) return;
    for (const [pool, { endpoint, maxConnections }] of this.#pools)
      this.#orders.say({ do: 'open', pool, endpoint, maxConnections });
  }
}

/** The body was being handed over: the server may have the message. */
function cutOff({ to }: Envelope): SentResult {
  const nothing = { code: null, enhanced: null, reply: '' };
  return {
    kind: 'outcome',
    outcome: {
      recipients: to.map((address) => ({ address, accepted: true, ...nothing })),
      final: null,
      failure: { step: 'body', ...nothing, causeCode: 'ECONNECTION', bodyStarted: true },
    },
  };
}

const CANCELLED: SentResult = {
  kind: 'error',
  code: 'cancelled',
  message: 'The thread that sends ended; what waits is sent by another.',
};

function stopped(): MailProxyError {
  return new MailProxyError(
    'cancelled',
    'Sending over this account was stopped; what waits is sent when it resumes.',
  );
}

function largeContentsOf(orders: readonly ToSender[]): ArrayBuffer[] {
  return orders.flatMap((order) => {
    if (order.do !== 'send') return [];
    const { buffer, byteLength } = order.order.content;
    return byteLength >= MOVED_FROM && buffer.byteLength === byteLength ? [buffer as ArrayBuffer] : [];
  });
}

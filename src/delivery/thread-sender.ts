import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { RestartPause } from '../core/restart-pause.js';
import type { SendOutcome } from '../core/smtp-outcome.js';
import type { Envelope } from '../core/types.js';
import type { Connections, Order, Sender, SenderEndpoint } from './sender.js';
import { cancelled, type FromSender, revive, type SentResult } from './sender-protocol.js';
import type { SenderThreadData } from './sender-thread.js';
import { ownContent, SenderWorker } from './sender-worker.js';

interface Sending {
  pool: number;
  /** Until a thread was told. */
  order: Order | undefined;
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
  /** Whether it takes no more messages. */
  isEnding: boolean;
  onEmpty: Array<() => void>;
}

/**
 * Sends in a thread of its own, which is started with the first connection: composing a message and talking to servers then
 * hold up neither the API nor the store. A thread that dies is replaced, after a pause if that happens again and again:
 * what it was handing over is uncertain, what else it had is cancelled, and what comes meanwhile waits.
 */
export function createThreadSender(data: SenderThreadData, log: Log): Sender {
  return new ThreadSender(data, log);
}

class ThreadSender implements Sender {
  readonly #data: SenderThreadData;
  readonly #log: Log;
  readonly #pools = new Map<number, OpenPool>();
  readonly #sending = new Map<number, Sending>();
  readonly #pause = new RestartPause();
  #thread: SenderWorker | undefined;
  #restart: NodeJS.Timeout | undefined;
  #isClosed = false;
  #lastId = 0;

  constructor(data: SenderThreadData, log: Log) {
    this.#data = data;
    this.#log = log;
  }

  open(endpoint: SenderEndpoint, { maxConnections }: { maxConnections: number }): Connections {
    const pool = ++this.#lastId;
    if (!this.#isClosed) {
      this.#pools.set(pool, { endpoint, maxConnections, isEnding: false, onEmpty: [] });
      if (this.#thread !== undefined) this.#thread.say({ do: 'open', pool, endpoint, maxConnections });
      else if (this.#restart === undefined) this.#start();
    }
    return {
      send: (order, mark) => this.#send(pool, order, mark),
      abandonWaiting: () => {
        if (this.#thread === undefined) this.#cancel(pool);
        else this.#thread.say({ do: 'abandon', pool });
      },
      drain: () => this.#end('drain', pool),
      destroy: () => this.#end('destroy', pool),
    };
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#restart);
    // Its end settles what it still had.
    if (this.#thread !== undefined) await this.#thread.close();
    for (const pool of [...this.#pools.keys()]) this.#emptied(pool);
  }

  #send(pool: number, order: Order, mark: () => Promise<void>): Promise<SendOutcome> {
    const open = this.#pools.get(pool);
    if (open === undefined || open.isEnding || this.#isClosed) return Promise.reject(stopped());
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      const { envelope } = order;
      const sending = { pool, order, envelope, mark, isMarked: false, refusal: undefined, resolve, reject };
      this.#sending.set(id, sending);
      this.#tell(id, sending);
    });
  }

  /** Hands a message to the thread, if there is one. */
  #tell(id: number, sending: Sending): void {
    const { pool, order } = sending;
    const thread = this.#thread;
    if (thread === undefined || order === undefined) return;
    sending.order = undefined;
    const said = { do: 'send', pool, id, order: { ...order, content: ownContent(order.content) } } as const;
    if (order.isHurried) thread.sayNow(said);
    else thread.say(said);
  }

  #end(how: 'drain' | 'destroy', pool: number): Promise<void> {
    const open = this.#pools.get(pool);
    if (open === undefined) return Promise.resolve();
    open.isEnding = true;
    return new Promise((resolve) => {
      open.onEmpty.push(resolve);
      if (this.#thread === undefined) this.#emptied(pool);
      else this.#thread.say({ do: how, pool });
    });
  }

  #start(): void {
    const startedAt = performance.now();
    try {
      const thread: SenderWorker = new SenderWorker(this.#data, {
        heard: (said) => this.#hear(thread, said),
        failed: (error) => this.#log.error('The thread that sends failed', { err: error }),
        ended: () => this.#lost(performance.now() - startedAt),
      });
      this.#thread = thread;
    } catch (error) {
      this.#log.error('The thread that sends could not be started', { err: error });
      this.#startLater(0);
      return;
    }
    for (const [pool, { endpoint, maxConnections }] of this.#pools)
      this.#thread.say({ do: 'open', pool, endpoint, maxConnections });
    for (const [id, sending] of this.#sending) this.#tell(id, sending);
  }

  #startLater(lived: number): void {
    this.#restart = setTimeout(() => {
      this.#restart = undefined;
      if (this.#pools.size > 0) this.#start();
    }, this.#pause.after(lived)).unref();
  }

  #hear(thread: SenderWorker, said: FromSender): void {
    switch (said.said) {
      case 'mark':
        this.#mark(thread, said.id);
        break;
      case 'done':
        this.#done(said.id, said.result);
        break;
      case 'empty':
        this.#emptied(said.pool);
        break;
    }
  }

  /** The answer goes to the thread that asked: another one's connections know nothing of the message. */
  #mark(thread: SenderWorker, id: number): void {
    const sending = this.#sending.get(id);
    if (sending === undefined) {
      thread.say({ do: 'marked', id, ok: false });
      return;
    }
    Promise.resolve()
      .then(sending.mark)
      .then(
        () => {
          sending.isMarked = true;
          thread.say({ do: 'marked', id, ok: true });
        },
        (reason: unknown) => {
          sending.refusal = reason;
          thread.say({ do: 'marked', id, ok: false });
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

  /** Gives up what no thread was told of yet. */
  #cancel(pool: number): void {
    for (const [id, sending] of [...this.#sending]) {
      if (sending.pool === pool && sending.order !== undefined) this.#done(id, CANCELLED);
    }
  }

  #emptied(pool: number): void {
    this.#cancel(pool);
    const open = this.#pools.get(pool);
    this.#pools.delete(pool);
    for (const resolve of open?.onEmpty ?? []) resolve();
  }

  /** The thread is gone: what it had begun ends, and a new one opens what lanes still have. */
  #lost(lived: number): void {
    this.#thread = undefined;
    for (const [id, { isMarked, envelope }] of [...this.#sending])
      this.#done(id, isMarked ? cutOff(envelope) : CANCELLED);
    for (const [pool, { isEnding }] of [...this.#pools]) if (isEnding) this.#emptied(pool);
    if (this.#isClosed) return;
    this.#log.warn('The thread that sends ended; another takes its place');
    this.#startLater(lived);
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

const CANCELLED = cancelled('The thread that sends ended; what waits is sent by another.');

function stopped(): MailProxyError {
  return new MailProxyError(
    'cancelled',
    'Sending over this account was stopped; what waits is sent when it resumes.',
  );
}

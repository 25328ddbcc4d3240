import { parentPort, workerData } from 'node:worker_threads';
import { parseAllowance } from '../core/destination.js';
import { armFailPoint } from '../core/fail-points.js';
import { createDestinationGuard } from './destination-guard.js';
import { createLocalSender } from './local-sender.js';
import { Outbox } from './outbox.js';
import type { Connections } from './sender.js';
import {
  cancelled,
  type FromSender,
  MarkRefused,
  plainFailure,
  plainOutcome,
  type ToSender,
} from './sender-protocol.js';

/** What the thread is started with. */
export interface SenderThreadData {
  /** What on private networks tenants may reach, as the setting has it. */
  allowPrivate: string | undefined;
  failPoint: string | undefined;
}

/** Composes and sends in a thread of its own, so that neither holds up the API and the store. */
function run(port: NonNullable<typeof parentPort>, { allowPrivate, failPoint }: SenderThreadData): void {
  armFailPoint(failPoint);
  // Node's streams make an error for each one that ends as it should; where it was made is never looked at here.
  Error.stackTraceLimit = 1;
  const sender = createLocalSender(createDestinationGuard(parseAllowance(allowPrivate)));
  const pools = new Map<number, Connections>();
  const marks = new Map<number, (ok: boolean) => void>();
  const answers = new Outbox<FromSender>('turn', (said) => port.postMessage(said));

  const send = ({ id, order }: Extract<ToSender, { do: 'send' }>, pool: Connections): void => {
    const { content } = order;
    const mark = (): Promise<void> =>
      new Promise((resolve, reject) => {
        marks.set(id, (ok) => (ok ? resolve() : reject(new MarkRefused())));
        answers.say({ said: 'mark', id });
      });
    const buffer = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
    pool
      .send({ ...order, content: buffer }, mark)
      .then(plainOutcome, plainFailure)
      .then((result) => {
        marks.delete(id);
        answers.say({ said: 'done', id, result });
      });
  };
  const end = (how: 'drain' | 'destroy', key: number, pool: Connections): void => {
    void pool[how]().then(() => {
      pools.delete(key);
      answers.say({ said: 'empty', pool: key });
    });
  };

  /** Whatever is still open is cut; then nothing keeps the thread alive. */
  const close = async (): Promise<void> => {
    await Promise.all([...pools.values()].map((pool) => pool.destroy()));
    answers.flush();
    port.close();
  };

  port.on('message', (orders: ToSender[] | 'close') => {
    if (orders === 'close') {
      void close();
      return;
    }
    for (const order of orders) {
      if (order.do === 'open') pools.set(order.pool, sender.open(order.endpoint, order));
      else if (order.do === 'marked') marks.get(order.id)?.(order.ok);
      else {
        const pool = pools.get(order.pool);
        if (pool === undefined) answers.say(nobodyThere(order));
        else if (order.do === 'send') send(order, pool);
        else if (order.do === 'abandon') pool.abandonWaiting();
        else end(order.do, order.pool, pool);
      }
    }
  });
}

/** The connections that an order is for have ended; whoever gave it waits for an answer all the same. */
function nobodyThere(
  order: Extract<ToSender, { pool: number; do: 'send' | 'abandon' | 'drain' | 'destroy' }>,
): FromSender {
  if (order.do !== 'send') return { said: 'empty', pool: order.pool };
  return { said: 'done', id: order.id, result: cancelled('The connections of this account were closed.') };
}

if (parentPort !== null) run(parentPort, workerData as SenderThreadData);

import { MailProxyError } from '../../src/core/errors.js';
import { type SendOutcome, SmtpFailure } from '../../src/core/smtp-outcome.js';
import type { Connections, Order, Sender } from '../../src/delivery/sender.js';

/** What a server does with one attempt: takes it, refuses it for now or for good at RCPT, or cuts the connection in the body. */
export type Answer = 'take' | 'later' | 'never' | 'cut';

/** A server that lives in virtual time. */
export interface VirtualServer {
  /** How long each message has a connection, in milliseconds; 0 takes no time at all. */
  millis: number;
  /** Whether no connection can be opened now. */
  isDown(): boolean;
  /** What becomes of the next attempt at a message; the content is its name. */
  answer(message: string): Answer;
  /** Told when an answer was given, and whether anybody was left to hear it. */
  answered(message: string, answer: Answer, isHeard: boolean): void;
}

/** A sender whose connections end in virtual servers, found by port. */
export interface VirtualSender extends Sender {
  /** As when the process dies: servers go on with what they have, and nothing of it is heard. */
  kill(): void;
  /** How many connections to the server at a port carry something. */
  inUse(port: number): number;
}

const pause = (millis: number): Promise<void> =>
  millis === 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, millis));
const before = (a: Order, b: Order): boolean => {
  const differs = a.place.findIndex((value, i) => value !== b.place[i]);
  return differs >= 0 && (a.place[differs] as number) < (b.place[differs] as number);
};
const cancelled = () => new MailProxyError('cancelled', 'Sending over this account was stopped.');

/**
 * Makes a sender that keeps the contract of {@link Connections} without sockets. Real servers need real time; only here, where
 * days must pass in milliseconds, they are played: `setTimeout` is expected to be the test's.
 */
export function createVirtualSender(serverAt: (port: number) => VirtualServer): VirtualSender {
  let isDead = false;
  /** What servers have a body of and not answered yet. */
  const handedOver = new Set<() => void>();
  const busy = new Map<number, number>();
  const count = (port: number, more: 1 | -1): void => {
    busy.set(port, (busy.get(port) ?? 0) + more);
  };
  const never = new Promise<never>(() => {});
  const live = async (millis: number): Promise<void> => {
    await pause(millis);
    if (isDead) await never;
  };

  async function attempt(
    server: VirtualServer,
    order: Order,
    mark: () => Promise<void>,
  ): Promise<SendOutcome> {
    const isDown = server.isDown();
    if (isDown) await live(server.millis / 2);
    if (isDown) throw new SmtpFailure({ step: 'connect', causeCode: 'ECONNREFUSED' });
    const message = order.content.toString();
    const answer = server.answer(message);
    const said = { take: 250, later: 450, never: 550, cut: null }[answer];
    const reply = { code: said, enhanced: null, reply: said === null ? '' : `${said} ${answer}` };
    await live(server.millis / 2);
    const isRefused = answer === 'later' || answer === 'never';
    if (!isRefused) {
      await mark();
      const unheard = (): void => server.answered(message, answer, false);
      handedOver.add(unheard);
      await live(server.millis / 2);
      handedOver.delete(unheard);
    }
    server.answered(message, answer, true);
    const recipient = isRefused ? reply : { code: 250, enhanced: null, reply: '250 ok' };
    return {
      recipients: order.envelope.to.map((address) => ({ ...recipient, address, accepted: !isRefused })),
      final: answer === 'take' ? reply : null,
      failure:
        answer === 'cut'
          ? new SmtpFailure({ step: 'body', causeCode: 'ECONNRESET', bodyStarted: true })
          : null,
    };
  }

  function open(port: number, maxConnections: number): Connections {
    const server = serverAt(port);
    const waiting: Array<{ order: Order; go: () => void; fail: (error: Error) => void }> = [];
    const gone: Array<() => void> = [];
    let inUse = 0;
    let isDraining = false;
    const leaveOne = (): number => {
      count(port, -1);
      return --inUse;
    };
    const leave = (): void => {
      const next = waiting.shift();
      if (next !== undefined) next.go();
      else if (leaveOne() === 0) for (const resolve of gone.splice(0)) resolve();
    };
    const enter = async (order: Order): Promise<void> => {
      if (isDraining) throw cancelled();
      if (inUse < maxConnections) {
        inUse++;
        count(port, 1);
      } else
        await new Promise<void>((go, fail) => {
          const at = waiting.findIndex((other) => before(order, other.order));
          waiting.splice(at < 0 ? waiting.length : at, 0, { order, go, fail });
        });
    };
    const connections: Connections = {
      async send(order, mark) {
        await enter(order);
        try {
          return await attempt(server, order, mark);
        } finally {
          leave();
        }
      },
      abandonWaiting() {
        if (!isDead) for (const { fail } of waiting.splice(0)) fail(cancelled());
      },
      async drain() {
        isDraining = true;
        connections.abandonWaiting();
        if (inUse > 0) await new Promise<void>((resolve) => gone.push(resolve));
      },
      destroy: () => connections.drain(),
    };
    return connections;
  }

  return {
    open: ({ port }, { maxConnections }) => open(port, maxConnections),
    close: async () => undefined,
    inUse: (port) => busy.get(port) ?? 0,
    kill() {
      isDead = true;
      for (const unheard of handedOver) unheard();
    },
  };
}

import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { SmtpEndpoint } from '../../src/delivery/smtp-options.js';
import type { IssuedCertificate } from '../../src/services/demo-certificate.js';

/** One client of a raw server: what it says line by line, and a pen to answer with. */
export interface RawClient {
  /** The next line without its CRLF, or null when the client is gone. */
  line(): Promise<string | null>;
  /** Writes text as it stands. */
  write(text: string): void;
  /** Closes the connection without a word. */
  close(): void;
  /** Runs the server's side of a TLS handshake; what was read in clear before is dropped. */
  upgrade(certificate: IssuedCertificate): Promise<void>;
}

/** A server that does what its script says, however wrong. */
export interface RawServer {
  readonly port: number;
  /** Every line that any client sent, in order. */
  readonly lines: string[];
  endpoint(changes?: Partial<SmtpEndpoint>): SmtpEndpoint;
  close(): Promise<void>;
}

/** Steps of an SMTP dialogue: the reply to give (CRLF is added), or a deed of its own. */
export type RawStep =
  | 'greeting'
  | 'EHLO'
  | 'STARTTLS'
  | 'AUTH'
  | 'MAIL'
  | 'RCPT'
  | 'DATA'
  | 'body'
  | 'RSET'
  | 'QUIT';
export type RawReply = string | ((client: RawClient, line: string) => void | Promise<void>);

/** Hangs up, as a step of a dialogue. */
export const hangUp: RawReply = (client) => client.close();

/** Starts a server on a free loopback port that runs `script` for each client. */
export async function startRawServer(script: (client: RawClient) => Promise<void>): Promise<RawServer> {
  const lines: string[] = [];
  const sockets = new Set<Socket>();
  // What is written later is there later, not held back until the client has acknowledged what came before.
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => {});
    void script(makeClient(socket, lines)).catch(() => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    lines,
    endpoint: (changes = {}) => ({
      host: '127.0.0.1',
      port,
      tls: 'none',
      tlsVerify: true,
      tlsCa: null,
      user: null,
      password: null,
      ...changes,
    }),
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Makes a script of a well-behaved server out of the steps it shall do differently. */
export function dialogue(
  steps: Partial<Record<RawStep, RawReply>> = {},
): (client: RawClient) => Promise<void> {
  const usual: Record<RawStep, RawReply> = {
    greeting: '220 raw ESMTP',
    EHLO: '250 raw',
    STARTTLS: '502 not here',
    AUTH: '235 welcome',
    MAIL: '250 sender ok',
    RCPT: '250 recipient ok',
    DATA: '354 go on',
    body: '250 taken',
    RSET: '250 reset',
    QUIT: '221 bye',
  };
  const replies = { ...usual, ...steps };
  return async (client) => {
    const act = async (step: RawStep, line: string) => {
      const reply = replies[step];
      if (typeof reply === 'string') client.write(`${reply}\r\n`);
      else await reply(client, line);
    };
    await act('greeting', '');
    for (let line = await client.line(); line !== null; line = await client.line()) {
      const verb = line.split(/[ :]/)[0]?.toUpperCase() as RawStep;
      if (!(verb in replies)) client.write('502 unknown command\r\n');
      else await act(verb, line);
      if (verb !== 'DATA' || typeof replies.DATA !== 'string' || !replies.DATA.startsWith('354')) continue;
      for (let text = await client.line(); text !== '.'; text = await client.line())
        if (text === null) return;
      await act('body', '.');
    }
  };
}

function makeClient(plain: Socket, lines: string[]): RawClient {
  let socket = plain;
  let text = '';
  let isOver = false;
  let wake: () => void = () => {};
  const listen = () => {
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      wake();
    });
    const over = () => {
      isOver = true;
      wake();
    };
    socket.on('close', over);
    socket.on('end', over);
    socket.on('error', over);
  };
  listen();
  return {
    async line() {
      for (;;) {
        const end = text.indexOf('\n');
        if (end >= 0) {
          const line = text.slice(0, end).replace(/\r$/, '');
          text = text.slice(end + 1);
          lines.push(line);
          return line;
        }
        if (isOver) return null;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    write: (reply) => {
      socket.write(reply);
    },
    close: () => {
      socket.end();
      socket.destroySoon();
    },
    async upgrade({ keyPem, certPem }) {
      plain.removeAllListeners('data');
      text = '';
      const secured = new TLSSocket(plain, {
        isServer: true,
        secureContext: createSecureContext({ key: keyPem, cert: certPem }),
      });
      socket = secured;
      listen();
      await once(secured, 'secure');
    },
  };
}

import { EventEmitter, once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SMTPServer, type SMTPServerOptions, type SMTPServerSession } from 'smtp-server';
import type { TlsMode } from '../../src/core/types.js';
import type { SmtpEndpoint } from '../../src/delivery/smtp-options.js';
import { type TestCertificates, testCertificates } from './certificates.js';

/** A message as the server took it. */
interface ReceivedMessage {
  from: string;
  to: string[];
  /** The bytes of the message, dots unstuffed. */
  raw: Buffer;
  /** Value of the Message-ID header, or null. */
  messageId: string | null;
  /** Whom the client logged in as, or null. */
  user: string | null;
  secure: boolean;
  /** The same for messages of one connection. */
  sessionId: string;
}

/** A refusal; undefined accepts. */
type Answer = { code: number; message: string } | undefined;

/** How a test server is set up. */
export interface SmtpServerSettings {
  tls: TlsMode;
  /** `valid` when left out. */
  certificate?: Exclude<keyof TestCertificates, 'caPem' | 'authority'>;
  /** Asks for these credentials; none are offered when left out. */
  auth?: { user: string; password: string };
  /** Asks for credentials and judges them, where there are many. */
  accepts?: (user: string, password: string) => boolean;
  /** With `none`: still offers STARTTLS. */
  offersStartTls?: boolean;
  pipelining?: boolean;
  /** Largest message, in bytes, as the SIZE extension says. */
  size?: number;
  /** Anything else npm's smtp-server knows, such as a `maxVersion` of TLS. */
  options?: SMTPServerOptions;
}

/** A real SMTP server on the loopback address, which a test may tell what to refuse. */
export interface SmtpTestServer {
  readonly port: number;
  readonly caPem: string;
  readonly messages: ReceivedMessage[];
  /** Senders of all MAIL commands, recipients of all RCPT commands, users of all AUTH commands that arrived. */
  readonly seen: { mail: string[]; rcpt: string[]; auth: string[]; connections: number };
  onMail: (address: string) => Answer | Promise<Answer>;
  onRcpt: (address: string) => Answer | Promise<Answer>;
  onData: (message: ReceivedMessage) => Answer | Promise<Answer>;
  /** Resolves with the messages once there are `count`, at once if there are already. */
  waitFor(count: number): Promise<ReceivedMessage[]>;
  /** The endpoint that reaches this server in its own mode and trusts its authority. */
  endpoint(changes?: Partial<SmtpEndpoint>): SmtpEndpoint;
  /** Ends every connection as a server does after its idle timeout; resolves when all are gone. */
  dropClients(): Promise<void>;
  close(): Promise<void>;
}

/** Starts npm's smtp-server in one of the three TLS modes on a free loopback port. */
export async function startSmtpServer(settings: SmtpServerSettings): Promise<SmtpTestServer> {
  const certificates = await testCertificates();
  const { keyPem: key, certPem: cert } = certificates[settings.certificate ?? 'valid'];
  const { auth, accepts } = settings;
  const asks = auth !== undefined || accepts !== undefined;
  const events = new EventEmitter();
  events.setMaxListeners(0);
  const answer = (given: Answer | Promise<Answer>, callback: (error?: Error | null) => void) => {
    Promise.resolve(given).then((reply) => callback(reply ? asError(reply) : null), callback);
  };
  const hasStartTls = settings.tls === 'starttls' || settings.offersStartTls === true;
  const server = new SMTPServer({
    key,
    cert,
    secure: settings.tls === 'ssl',
    authOptional: !asks,
    allowInsecureAuth: settings.tls === 'none',
    disabledCommands: [...(hasStartTls ? [] : ['STARTTLS']), ...(asks ? [] : ['AUTH'])],
    disableReverseLookup: true,
    hidePIPELINING: settings.pipelining === false,
    closeTimeout: 50,
    logger: false,
    ...(settings.size === undefined ? {} : { size: settings.size }),
    ...settings.options,
    onConnect(_session, callback) {
      api.seen.connections += 1;
      callback();
    },
    onAuth({ username = '', password }, _session, callback) {
      api.seen.auth.push(username);
      const isRight =
        accepts?.(username, password ?? '') ?? (username === auth?.user && password === auth?.password);
      callback(isRight ? null : asError({ code: 535, message: '5.7.8 wrong user or password' }), {
        user: username,
      });
    },
    onMailFrom({ address }, _session, callback) {
      api.seen.mail.push(address);
      answer(api.onMail(address), callback);
    },
    onRcptTo({ address }, _session, callback) {
      api.seen.rcpt.push(address);
      answer(api.onRcpt(address), callback);
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const message = received(session, Buffer.concat(chunks));
        answer(
          Promise.resolve(api.onData(message)).then((reply) => {
            if (reply) return reply;
            api.messages.push(message);
            events.emit('message');
            return undefined;
          }),
          callback,
        );
      });
    },
  });
  server.on('error', () => {}); // Clients that refuse the certificate end the handshake; that is what tests are about.
  server.listen(0, '127.0.0.1');
  await once(server.server, 'listening');
  const { port } = server.server.address() as AddressInfo;

  const api: SmtpTestServer = {
    port,
    caPem: certificates.caPem,
    messages: [],
    seen: { mail: [], rcpt: [], auth: [], connections: 0 },
    onMail: () => undefined,
    onRcpt: () => undefined,
    onData: () => undefined,
    async waitFor(count) {
      while (api.messages.length < count) await once(events, 'message');
      return api.messages;
    },
    endpoint: (changes = {}) => ({
      host: '127.0.0.1',
      port,
      tls: settings.tls,
      tlsVerify: true,
      tlsCa: certificates.caPem,
      user: auth?.user ?? null,
      password: auth?.password ?? null,
      ...changes,
    }),
    async dropClients() {
      for (const connection of [...server.connections]) connection.close();
      while (server.connections.size > 0) await new Promise((resolve) => setImmediate(resolve));
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  return api;
}

function received(session: SMTPServerSession, raw: Buffer): ReceivedMessage {
  const { mailFrom, rcptTo } = session.envelope;
  return {
    from: mailFrom ? mailFrom.address : '',
    to: rcptTo.map(({ address }) => address),
    raw,
    messageId: /^Message-ID:\s*(\S+)/im.exec(raw.toString('latin1'))?.[1] ?? null,
    user: typeof session.user === 'string' ? session.user : null,
    secure: session.secure,
    sessionId: session.id,
  };
}

function asError({ code, message }: { code: number; message: string }): Error {
  return Object.assign(new Error(message), { responseCode: code });
}

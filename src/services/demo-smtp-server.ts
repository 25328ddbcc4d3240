import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import type { IssuedCertificate } from './demo-certificate.js';

/** One message as the server took it, and how it came. */
export interface ReceivedMessage {
  from: string;
  recipients: string[];
  /** Who was logged in. */
  user: string;
  /** The TLS version and cipher that protected it. */
  protection: string;
  bytes: Buffer;
}

/** A running server of the demo. */
export interface DemoSmtpServer {
  port: number;
  /** Resolves with the first message. */
  received: Promise<ReceivedMessage>;
  close(): Promise<void>;
}

/** Starts a real SMTP server on loopback that takes mail only over STARTTLS and after AUTH. */
export async function startDemoSmtpServer(
  certificate: IssuedCertificate,
  login: { user: string; password: string },
): Promise<DemoSmtpServer> {
  let arrived: (message: ReceivedMessage) => void = () => undefined;
  const received = new Promise<ReceivedMessage>((resolve) => {
    arrived = resolve;
  });
  const server = new SMTPServer({
    key: certificate.keyPem,
    cert: certificate.certPem,
    minVersion: 'TLSv1.2',
    disableReverseLookup: true,
    onAuth(auth, _session, done) {
      const known = auth.username === login.user && auth.password === login.password;
      if (known) done(null, { user: login.user });
      else done(new Error('Wrong user or password'));
    },
    onMailFrom(_address, session, done) {
      if (session.secure && session.user !== undefined) done();
      else done(new Error('STARTTLS and AUTH first'));
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        const cipher = typeof session.tlsOptions === 'object' ? session.tlsOptions : undefined;
        arrived({
          from: mailFrom === false ? '' : mailFrom.address,
          recipients: rcptTo.map(({ address }) => address),
          user: String(session.user),
          protection: cipher === undefined ? 'none' : `${cipher.version}, ${cipher.name}`,
          bytes: Buffer.concat(chunks),
        });
        done();
      });
    },
  });
  // A client that goes away in mid-session is nothing that the demo has to report.
  server.on('error', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  return {
    port: (server.server.address() as AddressInfo).port,
    received,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

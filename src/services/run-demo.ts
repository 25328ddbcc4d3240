import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createClient } from '../client/index.js';
import { MailProxyError } from '../core/errors.js';
import type { MessageWire } from '../core/wire.js';
import { tenantScope } from '../store/scope.js';
import { makeCertificateAuthority } from './demo-certificate.js';
import { type DemoSmtpServer, type ReceivedMessage, startDemoSmtpServer } from './demo-smtp-server.js';
import { openServer } from './open-server.js';
import { putAccount } from './put-account.js';
import { putTenant } from './put-tenant.js';
import { startServer } from './start-server.js';
import { stopServer } from './stop-server.js';

/** Where the demo tells what it does. */
export interface DemoTeller {
  step(title: string): void;
  fact(name: string, value: string): void;
  text(lines: string): void;
}

const SERVER = 'showcase';
const TENANT = 'acme';
const TIMEOUT_MS = 20_000;

/**
 * Takes one message through the whole system, on throw-away servers in a temporary directory: a real daemon, a real SMTP
 * server that demands STARTTLS and AUTH. Whatever happens, everything that it made is gone afterwards.
 *
 * @param signal - Ends the demo early.
 * @throws MailProxyError when any step did not happen.
 */
export async function runDemo(tell: DemoTeller, signal: AbortSignal): Promise<void> {
  const undo: Array<() => Promise<unknown>> = [];
  const demonstration = demonstrate(tell, undo, signal);
  const [outcome] = await Promise.allSettled([Promise.race([demonstration, aborted(signal)])]);
  // A daemon that is just being started must be there before it can be stopped.
  await demonstration.catch(() => undefined);
  if (outcome.status === 'fulfilled') tell.step('Stopping the servers and removing the temporary directory');
  const failures: unknown[] = outcome.status === 'rejected' ? [outcome.reason] : [];
  for (const step of undo.reverse()) await step().catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

async function demonstrate(
  tell: DemoTeller,
  undo: Array<() => Promise<unknown>>,
  signal: AbortSignal,
): Promise<void> {
  const env = neutralEnvironment();
  const home = await mkdtemp(join(tmpdir(), 'mail-proxy-demo-'));
  undo.push(() => rm(home, { recursive: true, force: true }));
  const directory = join(home, SERVER);

  tell.step('Starting an SMTP server that takes mail only over STARTTLS and after AUTH');
  const authority = await makeCertificateAuthority();
  const login = { user: 'relay@example.com', password: randomBytes(12).toString('base64url') };
  const smtp = await startDemoSmtpServer(await authority.issue(['localhost']), login);
  undo.push(() => smtp.close());
  tell.fact('SMTP server', `localhost:${smtp.port}, its certificate signed by an authority made just now`);
  signal.throwIfAborted();

  tell.step('Starting the mail-proxy daemon');
  undo.push(() => stopServer(directory, env, false));
  const daemon = await startServer({ server: SERVER, directory, env });
  tell.fact('daemon', `${daemon.url} (pid ${daemon.pid})`);
  tell.fact('admin token', `${daemon.generatedToken?.slice(0, 8)}… (256 bits; only its SHA-256 is kept)`);
  signal.throwIfAborted();

  const token = await addTenantAndAccount(tell, directory, env, {
    ...login,
    port: smtp.port,
    ca: authority.caPem,
  });
  await postMessage(tell, daemon.url, token, smtp, signal);
}

async function addTenantAndAccount(
  tell: DemoTeller,
  directory: string,
  env: Record<string, string | undefined>,
  smtp: { port: number; user: string; password: string; ca: string },
): Promise<string> {
  const { context, close } = await openServer(SERVER, directory, env);
  try {
    tell.step('Adding the tenant "acme" and its SMTP account');
    const { token } = await putTenant(context, TENANT, { name: 'ACME Corp' }, {}, 'create');
    const { port, user, password, ca } = smtp;
    await putAccount(
      context,
      TENANT,
      undefined,
      { host: 'localhost', port, tls: 'starttls', tlsCa: ca, user, password },
      'add',
    );
    const stored = await context.store.accounts.get(tenantScope(TENANT), 'smtp1');
    const [kept] = await context.store.tokens.list(tenantScope(TENANT));
    if (token === undefined || kept === undefined || stored?.password?.value.startsWith('ENC:') !== true) {
      throw new MailProxyError(
        'internal',
        'The demo found its tenant or account not stored as it should be.',
      );
    }
    tell.fact('token', `${token.slice(0, 8)}…`);
    tell.fact('stored token', `${kept.hash} (SHA-256)`);
    tell.fact('password', '*'.repeat(password.length));
    tell.fact('stored password', `${stored.password.value} (AES-256-GCM)`);
    return token;
  } finally {
    await close();
  }
}

async function postMessage(
  tell: DemoTeller,
  url: string,
  token: string,
  smtp: DemoSmtpServer,
  signal: AbortSignal,
): Promise<void> {
  tell.step('Posting a message over HTTP with the token of the tenant');
  const client = createClient({ url, token });
  const message = {
    id: 'hello-1',
    from: 'ACME Corp <hello@example.com>',
    to: ['you@example.net'],
    subject: 'Hello from mail-proxy ✉',
    text: 'This message was queued durably and sent over STARTTLS.\n',
  };
  const answer = await client.addMessages({ messages: [message] });
  tell.fact('answer', JSON.stringify(answer));
  if (answer.queued !== 1) throw new MailProxyError('internal', 'The demo’s message was not queued.');

  const received = await Promise.race([smtp.received, timeout(signal, 'The SMTP server received nothing')]);
  const sent = await untilSent(() => client.getMessage(TENANT, message.id), signal);
  tell.fact('state', `${sent.status}: ${sent.recipients[0]?.reply}`);
  tellReceived(tell, received);
}

async function untilSent(read: () => Promise<MessageWire>, signal: AbortSignal): Promise<MessageWire> {
  const giveUpAt = Date.now() + TIMEOUT_MS;
  for (;;) {
    const message = await read();
    if (message.status === 'sent') return message;
    if (message.status === 'error' || Date.now() > giveUpAt) {
      throw new MailProxyError(
        'internal',
        `The message was received but is not reported as sent: ${message.status}.`,
      );
    }
    await sleep(20, undefined, { signal });
  }
}

function tellReceived(
  tell: DemoTeller,
  { from, recipients, user, protection, bytes }: ReceivedMessage,
): void {
  tell.step('The message as the SMTP server received it');
  tell.fact('protected by', protection);
  tell.fact('logged in as', user);
  tell.fact('envelope', `${from} → ${recipients.join(', ')}`);
  tell.text(bytes.toString('utf8').replaceAll('\r\n', '\n'));
}

/** The demo is about itself alone: nothing that the operator has set may change it, and no secret of his is passed on. */
function neutralEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(MAIL_PROXY_|GMP_|LOG_FORMAT$|CREDENTIALS_DIRECTORY$)/.test(name),
    ),
  );
}

async function timeout(signal: AbortSignal, what: string): Promise<never> {
  await sleep(TIMEOUT_MS, undefined, { signal, ref: false });
  throw new MailProxyError('internal', `${what} within ${TIMEOUT_MS / 1000} seconds.`);
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    const stop = (): void =>
      reject(new MailProxyError('cancelled', 'The demo was stopped; everything it made is removed.'));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

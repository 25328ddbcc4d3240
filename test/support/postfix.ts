import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { testCertificates } from './certificates.js';
import { ended, freePort, until } from './processes.js';
import type { AfterTest } from './test-server.js';

const SINK = '/usr/sbin/smtp-sink';
const POSTFIX = '/usr/sbin/postfix';

function requireProgram(path: string): void {
  if (existsSync(path)) return;
  throw new Error(
    `These tests need ${path}: install the Debian package "postfix" (apt-get install postfix).`,
  );
}

/** Resolves once something greets on a port; rejects when the process that should has ended. */
async function untilGreets(port: number, child: ChildProcess, complaint: () => string): Promise<void> {
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}: ${complaint()}`);
    const socket = connect(port, '127.0.0.1');
    try {
      return await Promise.race([
        once(socket, 'data').then(() => true),
        once(socket, 'close').then(() => false),
        sleep(1000).then(() => false),
      ]);
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  }, `port ${port} greets`);
}

/** Spawns a program that stays in the foreground; it is ended with SIGTERM after the test. */
function spawnForTest(
  afterTest: AfterTest,
  program: string,
  args: string[],
): { child: ChildProcess; complaint: () => string } {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  afterTest(async () => {
    child.kill('SIGTERM');
    await closed;
  });
  return { child, complaint: () => stderr };
}

function giveToPostfix(directory: string): void {
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postfix'], { encoding: 'utf8' }));
  chownSync(directory, id('-u'), id('-g'));
}

/** Postfix's own test server, which takes everything as fast as it can. */
export interface SmtpSink {
  readonly port: number;
  /** What it has received so far, as it was sent. */
  messages(): string[];
}

/** Starts `smtp-sink`, each message in a file of its own. @throws Error naming the package when it is not installed. */
export async function startSmtpSink(afterTest: AfterTest): Promise<SmtpSink> {
  requireProgram(SINK);
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-e2e-sink-'));
  afterTest(() => rmSync(directory, { recursive: true, force: true }));
  const port = await freePort();
  const template = join(directory, 'message.');
  // It refuses to work as root, and then its files must be for whom it becomes.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) giveToPostfix(directory);
  const { child, complaint } = spawnForTest(afterTest, SINK, [
    ...(isRoot ? ['-u', 'postfix'] : []),
    '-d',
    template,
    `127.0.0.1:${port}`,
    '100',
  ]);
  await untilGreets(port, child, complaint);
  return {
    port,
    messages: () => readdirSync(directory).map((name) => readFileSync(join(directory, name), 'latin1')),
  };
}

/** A real Postfix that demands STARTTLS and relays everything to another server of the test. */
export interface TestPostfix {
  readonly port: number;
  readonly caPem: string;
  log(): string;
}

/** Services that a relay over loopback needs, and no more; none runs in a chroot. */
const SERVICES = [
  'tlsmgr unix - - n 1000? 1 tlsmgr',
  'anvil unix - - n - 1 anvil',
  'cleanup unix n - n - 0 cleanup',
  'proxymap unix - - n - - proxymap',
  'rewrite unix - - n - - trivial-rewrite',
  'qmgr unix n - n 300 1 qmgr',
  'smtp unix - - n - - smtp',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'showq unix n - n - - showq',
  'postlog unix-dgram n - n - 1 postlogd',
];

/**
 * Starts a Postfix with a configuration, a queue and a log of its own, which knows nothing of the system's.
 *
 * @param relayPort - Port of the loopback address that everything is passed on to.
 * @throws Error naming the package when it is not installed, or that Postfix starts for root only.
 */
export async function startPostfix(afterTest: AfterTest, relayPort: number): Promise<TestPostfix> {
  requireProgram(POSTFIX);
  if (process.getuid?.() !== 0)
    throw new Error('Postfix starts for root only: run these tests as root, in a container.');
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-e2e-postfix-'));
  afterTest(() => rmSync(directory, { recursive: true, force: true }));
  chmodSync(directory, 0o755);
  const place = (name: string): string => join(directory, name);
  for (const name of ['config', 'queue', 'data']) mkdirSync(place(name), { mode: 0o755 });
  giveToPostfix(place('data'));

  const certificates = await testCertificates();
  const { keyPem, certPem } = certificates.valid;
  writeFileSync(place('config/tls.pem'), `${keyPem}\n${certPem}`, { mode: 0o600 });
  const port = await freePort();
  const settings = {
    compatibility_level: '3.6',
    queue_directory: place('queue'),
    data_directory: place('data'),
    maillog_file: place('mail.log'),
    maillog_file_prefixes: directory,
    myhostname: 'relay.example.test',
    mydestination: '',
    inet_interfaces: '127.0.0.1',
    inet_protocols: 'ipv4',
    mynetworks: '127.0.0.0/8',
    relayhost: `[127.0.0.1]:${relayPort}`,
    smtp_dns_support_level: 'disabled',
    smtp_tls_security_level: 'none',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    smtpd_peername_lookup: 'no',
    smtpd_tls_security_level: 'encrypt',
    smtpd_tls_chain_files: place('config/tls.pem'),
    smtpd_tls_received_header: 'yes',
    alias_maps: '',
    alias_database: '',
    local_recipient_maps: '',
  };
  writeFileSync(
    place('config/main.cf'),
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(''),
  );
  writeFileSync(
    place('config/master.cf'),
    [`127.0.0.1:${port} inet n - n - - smtpd`, ...SERVICES, ''].join('\n'),
  );
  writeFileSync(place('mail.log'), '');
  const log = (): string => readFileSync(place('mail.log'), 'utf8');
  const { child, complaint } = spawnForTest(afterTest, POSTFIX, ['-c', place('config'), 'start-fg']);
  // What was spawned is a script; the master process and its children are a group of their own.
  afterTest(async () => {
    const pid = Number(readFileSync(place('queue/pid/master.pid'), 'utf8'));
    process.kill(pid, 'SIGTERM');
    await ended(pid);
  });
  await untilGreets(port, child, () => complaint() + log());
  return { port, caPem: certificates.caPem, log };
}

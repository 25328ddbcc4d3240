// A Postfix of our own that relays to the sink (Debian package `postfix`, started as root).
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import nodemailer from 'nodemailer';
import { monotonicMs } from './clock.js';
import { nodemailerMessage } from './messages.js';
import { freePort, untilGreets } from './sink.js';

const POSTFIX = '/usr/sbin/postfix';
const SERVICES = [
  'cleanup unix n - n - 0 cleanup',
  'rewrite unix - - n - - trivial-rewrite',
  'qmgr unix n - n 300 1 qmgr',
  'pickup unix n - n 60 1 pickup',
  'flush unix n - n 1000? 0 flush',
  'smtp unix - - n - - smtp',
  'bounce unix - - n - 0 bounce',
  'defer unix - - n - 0 bounce',
  'trace unix - - n - 0 bounce',
  'error unix - - n - - error',
  'retry unix - - n - - error',
  'showq unix n - n - - showq',
  'scache unix - - n - 1 scache',
  'postlog unix-dgram n - n - 1 postlogd',
];

/**
 * Messages a second of Postfix: `relaying`, taking them in and passing them on at once, from the first to the last that is sent; `emptying`,
 * passing on what is in its queue already.
 */
export async function postfixRates(sinkPort, messages, connections) {
  const postfix = await startPostfix(sinkPort, connections);
  try {
    const relaying = await postfix.rate(messages, () => postfix.submit(messages));
    postfix.configure({ defer_transports: 'smtp' });
    await postfix.submit(messages);
    postfix.configure({ defer_transports: '' });
    const emptying = await postfix.rate(messages, () => postfix.command('postqueue', '-f'));
    return { relaying, emptying };
  } finally {
    await postfix.stop();
  }
}

async function startPostfix(sinkPort, connections) {
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-bench-postfix-'));
  chmodSync(directory, 0o755);
  const place = (name) => join(directory, name);
  for (const name of ['config', 'queue', 'data']) mkdirSync(place(name), { mode: 0o755 });
  const id = (flag) => Number(execFileSync('id', [flag, 'postfix'], { encoding: 'utf8' }));
  chownSync(place('data'), id('-u'), id('-g'));
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
    relayhost: `[127.0.0.1]:${sinkPort}`,
    smtp_dns_support_level: 'disabled',
    smtp_tls_security_level: 'none',
    smtpd_relay_restrictions: 'permit_mynetworks, reject',
    smtpd_peername_lookup: 'no',
    smtpd_client_connection_count_limit: '0',
    default_destination_concurrency_limit: String(connections),
    initial_destination_concurrency: String(connections),
    alias_maps: '',
    alias_database: '',
    local_recipient_maps: '',
  };
  const configure = (changes) => {
    Object.assign(settings, changes);
    const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
    writeFileSync(place('config/main.cf'), lines.join(''));
  };
  configure({});
  writeFileSync(
    place('config/master.cf'),
    [`127.0.0.1:${port} inet n - n - - smtpd`, ...SERVICES, ''].join('\n'),
  );
  writeFileSync(place('mail.log'), '');
  const child = spawn(POSTFIX, ['-c', place('config'), 'start-fg'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await untilGreets(port, () => child.exitCode !== null, POSTFIX);
  const command = (name, ...args) =>
    execFileSync(name, ['-c', place('config'), ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  const sent = countsInLog(place('mail.log'), 'status=sent');
  return {
    command,
    configure(changes) {
      configure(changes);
      command('postfix', 'reload');
    },
    async submit(messages) {
      const transport = nodemailer.createTransport({
        pool: true,
        host: '127.0.0.1',
        port,
        ignoreTLS: true,
        maxConnections: connections,
      });
      const all = Array.from({ length: messages }, (_, i) => transport.sendMail(nodemailerMessage(`p${i}`)));
      await Promise.all(all);
      transport.close();
    },
    async rate(messages, begin) {
      const before = sent();
      const began = monotonicMs();
      const begun = begin();
      while (sent() < before + messages) await new Promise((resolve) => setTimeout(resolve, 10));
      const rate = (messages * 1000) / (monotonicMs() - began);
      await begun;
      return rate;
    },
    async stop() {
      const pid = Number(readFileSync(place('queue/pid/master.pid'), 'utf8'));
      process.kill(pid, 'SIGTERM');
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Counts how often a word stands in a log that grows, reading only what is new each time. */
function countsInLog(file, word) {
  const log = openSync(file);
  const buffer = Buffer.alloc(256 * 1024);
  let count = 0;
  let rest = '';
  return () => {
    for (;;) {
      const length = readSync(log, buffer);
      if (length === 0) return count;
      const text = rest + buffer.latin1Slice(0, length);
      const parts = text.split(word);
      count += parts.length - 1;
      rest = parts.at(-1).slice(1 - word.length);
    }
  };
}

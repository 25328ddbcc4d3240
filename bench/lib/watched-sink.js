// A bare SMTP server in a process of its own that tells when the DATA command for each recipient arrived.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import { monotonicMs } from './clock.js';

/** Starts it; `onData` is told the recipient and the moment of DATA, on the clock of {@link monotonicMs}. */
export async function startWatchedSink(onData) {
  const child = fork(fileURLToPath(import.meta.url), ['serve']);
  const [{ port }] = await once(child, 'message');
  child.on('message', ({ recipient, at }) => onData(recipient, at));
  return { port, stop: () => child.kill('SIGTERM') };
}

function serve() {
  const server = createServer({ noDelay: true }, (socket) => {
    let buffered = '';
    let isBody = false;
    let recipients = [];
    const say = (line) => socket.write(`${line}\r\n`);
    const obey = (line) => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') say('250-sink\r\n250-PIPELINING\r\n250 8BITMIME');
      else if (verb === 'RCPT') {
        recipients.push(/<(.*?)>/.exec(line)?.[1]);
        say('250 2.1.5 Ok');
      } else if (verb === 'DATA') {
        const at = monotonicMs();
        say('354 End data with <CR><LF>.<CR><LF>');
        isBody = true;
        for (const recipient of recipients) process.send({ recipient, at });
        recipients = [];
      } else if (verb === 'QUIT') {
        say('221 2.0.0 Bye');
        socket.end();
      } else say('250 2.0.0 Ok');
    };
    socket.on('error', () => undefined);
    socket.setEncoding('latin1').on('data', (text) => {
      buffered += text;
      for (;;) {
        const end = isBody ? '\r\n.\r\n' : '\r\n';
        const at = buffered.indexOf(end);
        if (at < 0) return;
        const line = buffered.slice(0, at);
        buffered = buffered.slice(at + end.length);
        if (isBody) {
          isBody = false;
          say('250 2.0.0 Ok: queued');
        } else obey(line);
      }
    });
    say('220 sink ESMTP');
  });
  server.listen(0, '127.0.0.1', () => process.send({ port: server.address().port }));
}

if (process.argv[1] === fileURLToPath(import.meta.url) && process.send !== undefined) serve();

// Postfix's own test server, which takes every message as fast as it can and keeps none.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

const SINK = '/usr/sbin/smtp-sink';

/** Starts `smtp-sink` (Debian package `postfix`) on a free port of loopback. */
export async function startSink() {
  const port = await freePort();
  // It refuses to work as root.
  const user = process.getuid() === 0 ? ['-u', 'postfix'] : [];
  const child = spawn(SINK, [...user, `127.0.0.1:${port}`, '1000'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(child, 'exit');
  child.on('error', () => undefined);
  await untilGreets(port, () => child.exitCode !== null || child.pid === undefined, SINK);
  return {
    port,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** A port of loopback that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Waits until an SMTP server greets. */
export async function untilGreets(port, isGone, name) {
  const giveUpAt = Date.now() + 30_000;
  for (;;) {
    if (isGone()) throw new Error(`${name} does not run: install the Debian package "postfix".`);
    if (Date.now() > giveUpAt) throw new Error(`${name} does not greet on port ${port}.`);
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'data', { signal: AbortSignal.timeout(1000) });
      return;
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      socket.destroy();
    }
  }
}

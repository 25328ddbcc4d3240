// Posts messages at a given concurrency over kept connections, in a process of its own; prints {"ms"}.
import { connect } from 'node:net';
import { monotonicMs } from './clock.js';
import { wireMessage } from './messages.js';

const { port, path, count, concurrency, batch, tenantId, prefix } = JSON.parse(process.argv[2]);

// The requests are made before the clock starts and the answers are only checked for what they must say: on a machine with two cores
// a full client would measure itself.
const requests = Array.from({ length: count }, (_, i) => {
  const messages = Array.from({ length: batch }, (_, j) => wireMessage(`${prefix}-${i}-${j}`));
  const body = Buffer.from(JSON.stringify({ messages }));
  const head = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-API-Token: bench-token-of-${tenantId}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
});
const EXPECTED = `"queued":${batch},`;
let next = 0;

function worker() {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let buffered = '';
    const post = () => {
      const request = requests[next++];
      if (request === undefined) {
        socket.end();
        resolve();
      } else socket.write(request);
    };
    socket.on('error', reject);
    socket.on('connect', post);
    socket.setEncoding('latin1').on('data', (text) => {
      buffered += text;
      const end = buffered.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = Number(/^content-length: (\d+)/im.exec(buffered)?.[1]);
      if (buffered.length < end + 4 + length) return;
      if (!buffered.startsWith('HTTP/1.1 200') || !buffered.includes(EXPECTED)) {
        reject(new Error(buffered));
        return;
      }
      buffered = '';
      post();
    });
  });
}

const began = monotonicMs();
await Promise.all(Array.from({ length: concurrency }, worker));
process.stdout.write(JSON.stringify({ ms: monotonicMs() - began }));

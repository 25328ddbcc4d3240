// nodemailer's own pool composing and sending messages. Arguments: port, messages, connections; prints {"ms"}.
import nodemailer from 'nodemailer';
import { monotonicMs } from './clock.js';
import { nodemailerMessage } from './messages.js';

const [port, count, connections] = process.argv.slice(2).map(Number);
const transport = nodemailer.createTransport({
  pool: true,
  host: '127.0.0.1',
  port,
  ignoreTLS: true,
  maxConnections: connections,
  maxMessages: 100,
});

/** So many are on their way at once as the pool can take without holding all of them in memory. */
const began = monotonicMs();
let next = 0;
const worker = async () => {
  while (next < count) await transport.sendMail(nodemailerMessage(`m${next++}`));
};
await Promise.all(Array.from({ length: connections * 2 }, worker));
process.stdout.write(JSON.stringify({ ms: monotonicMs() - began }));
transport.close();

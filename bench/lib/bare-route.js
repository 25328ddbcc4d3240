// The least that a durable route can be: Hono parses a body, better-sqlite3 commits a message's rows, and it answers. Nobody is authenticated and
// nothing is looked at. What this makes of better-sqlite3 alone is the most that any durable route can.
// Argument: a server's database; prints its port, and ends with its standard input.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import { keepHeapSmall } from '../../dist/config/small-heap.js';
import { openModelRows } from './model-rows.js';

keepHeapSmall();
const rows = openModelRows(process.argv[2]);
const app = new Hono();
app.post('/commands/add-messages', async (c) => {
  const { messages } = await c.req.json();
  rows.commit(messages.map(({ id }) => id));
  return c.json({ ok: true, queued: messages.length, rejected: [] });
});
const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
  process.stdout.write(String(port)),
);
process.stdin.resume().on('end', () => {
  server.close();
  server.closeAllConnections();
  rows.close();
});

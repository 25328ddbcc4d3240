import { afterEach, beforeEach, expect, test } from 'vitest';
import { ACME, ADMIN, account, GLOBEX, message, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
  await server.request('POST', '/account', { token: ACME, json: account() });
  await server.request('POST', '/account', { token: GLOBEX, json: account() });
  server.calls.length = 0;
});
afterEach(() => server.close());

const add = (json: unknown, token = ACME) =>
  server.request('POST', '/commands/add-messages', { token, json });
const get = (path: string, token = ACME) => server.request('GET', path, { token });
const ids = (answer: { json: Record<string, unknown> }) =>
  (answer.json.messages as Array<{ tenant_id: string; id: string }>).map(
    (row) => `${row.tenant_id}/${row.id}`,
  );

test('a batch queues its good messages, rejects its bad ones, and wakes the sender', async () => {
  const answer = await add({
    messages: [
      message('good'),
      message('no-recipient', { to: [] }),
      message('unknown-field', { colour: 'red' }),
      message('no-such-account', { account_id: 'smtp9' }),
      message('bad-priority', { priority: 99 }),
      message('poison', { headers: 'x' }),
      'not even an object',
      null,
    ],
  });
  expect(answer.status).toBe(200);
  expect(answer.json).toMatchObject({ ok: true, queued: 1 });
  const rejected = answer.json.rejected as Array<{ id: string | null; code: string; reason: string }>;
  expect(rejected.map(({ id, code }) => `${id} ${code}`).sort()).toEqual([
    'bad-priority validation_failed',
    'no-recipient validation_failed',
    'no-such-account unknown_account',
    'null validation_failed',
    'null validation_failed',
    'poison validation_failed',
    'unknown-field validation_failed',
  ]);
  expect(rejected.every(({ reason }) => reason.length > 10)).toBe(true);
  expect(server.calls).toEqual(['wake']);
  expect(ids(await get('/messages'))).toEqual(['acme/good']);
});

test('a batch without a good message wakes nobody', async () => {
  expect((await add({ messages: [{}] })).json).toMatchObject({ ok: true, queued: 0 });
  expect(server.calls).toEqual([]);
});

test('an admin queues for any tenants, named by message, body or query', async () => {
  const mixed = [message('m1', { tenant_id: 'acme' }), message('m2', { tenant_id: 'globex' }), message('m3')];
  expect((await add({ messages: mixed }, ADMIN)).json).toMatchObject({ queued: 2, rejected: [{ id: 'm3' }] });
  expect((await add({ tenant_id: 'globex', messages: [message('m3')] }, ADMIN)).json).toMatchObject({
    queued: 1,
  });
  const query = await server.request('POST', '/commands/add-messages?tenant_id=acme', {
    token: ADMIN,
    json: { messages: [message('m4')] },
  });
  expect(query.json).toMatchObject({ queued: 1 });
  expect(ids(await get('/messages', ADMIN))).toEqual(['acme/m4', 'globex/m3', 'globex/m2', 'acme/m1']);
  expect(ids(await get('/messages?tenant_id=globex', ADMIN))).toEqual(['globex/m3', 'globex/m2']);
});

test('an unknown tenant is told at once, message by message', async () => {
  const messages = [message('lost', { tenant_id: 'ghost' }), message('kept', { tenant_id: 'acme' })];
  expect((await add({ messages }, ADMIN)).json).toMatchObject({
    queued: 1,
    rejected: [{ id: 'lost', code: 'tenant_not_found' }],
  });
});

test('the default priority is the body’s, else the server’s', async () => {
  await add({ messages: [message('a')], default_priority: 'high' });
  await add({ messages: [message('b'), message('c', { priority: 0 })] });
  const { json } = await get('/messages');
  const priorities = (json.messages as Array<{ id: string; priority: number }>).map(({ id, priority }) => [
    id,
    priority,
  ]);
  expect(Object.fromEntries(priorities)).toEqual({ a: 1, b: 2, c: 0 });
});

test('messages are filtered, and listed newest first page by page', async () => {
  const later = server.clock.now / 1000 + 3600;
  await add({
    messages: [
      message('a', { batch_code: 'Q1' }),
      message('b', { batch_code: 'q1' }),
      message('c', { deferred_ts: later }),
    ],
  });
  expect(ids(await get('/messages?batch_code=Q1'))).toEqual(['acme/a']);
  expect(ids(await get('/messages?status=deferred'))).toEqual(['acme/c']);
  expect(ids(await get('/messages?status=sent'))).toEqual([]);
  expect(ids(await get('/messages?account_id=smtp9'))).toEqual([]);
  const first = await get('/messages?active_only=1&limit=2');
  expect(ids(first)).toEqual(['acme/c', 'acme/b']);
  const second = await get(`/messages?active_only=1&limit=2&cursor=${String(first.json.next_cursor)}`);
  expect(ids(second)).toEqual(['acme/a']);
  expect(second.json).not.toHaveProperty('next_cursor');
});

test('one message is shown with its recipients, whatever characters its id has', async () => {
  const id = 'order/17 50% é %41?#';
  await add({ messages: [message(id, { deferred_ts: server.clock.now / 1000 + 60 })] });
  const { json } = await get(`/messages/${encodeURIComponent(id)}`);
  expect(json).toMatchObject({
    ok: true,
    id,
    status: 'deferred',
    deferred_ts: server.clock.now / 1000 + 60,
    created_at: new Date(server.clock.now).toISOString(),
    recipients: [{ address: 'someone@example.net', status: 'pending', code: null, reply: null, ts: null }],
  });
  expect(await get(`/messages/${encodeURIComponent(id)}`, GLOBEX)).toMatchObject({
    status: 404,
    json: { code: 'message_not_found' },
  });
});

test('the status counts own messages for a tenant and all for an admin', async () => {
  await add({ messages: [message('a'), message('b')] });
  await add({ messages: [message('a')] }, GLOBEX);
  const pending = async (path: string, token: string) => (await get(path, token)).json.pending_messages;
  expect(await pending('/status', ACME)).toBe(2);
  expect(await pending('/status', GLOBEX)).toBe(1);
  expect(await pending('/status', ADMIN)).toBe(3);
  expect(await pending('/status?tenant_id=globex', ADMIN)).toBe(1);
  expect((await get('/status')).json).toEqual({
    ok: true,
    scheduler_active: true,
    pending_messages: 2,
    uptime_seconds: 5,
    version: '1.2.3',
  });
});

test('run-now is for the own tenant, or for an admin for one or all, with or without a body', async () => {
  const run = (token: string, query = '', json?: unknown) =>
    server.request('POST', `/commands/run-now${query}`, { token, ...(json === undefined ? {} : { json }) });
  expect((await run(ACME)).json).toEqual({ ok: true });
  await run(ACME, '', {});
  await run(ADMIN);
  await run(ADMIN, '?tenant_id=globex');
  await run(ADMIN, '', { tenant_id: 'globex' });
  expect(server.calls).toEqual([
    { runNow: 'acme' },
    { runNow: 'acme' },
    { runNow: undefined },
    { runNow: 'globex' },
    { runNow: 'globex' },
  ]);
  expect((await run(ACME, '', { tenant_id: 'globex' })).status).toBe(401);
  expect((await run(ACME, '', { now: true })).status).toBe(422);
  expect(await run(ADMIN, '?tenant_id=nobody')).toMatchObject({
    status: 404,
    json: { code: 'tenant_not_found' },
  });
  expect(server.calls).toHaveLength(5);
});

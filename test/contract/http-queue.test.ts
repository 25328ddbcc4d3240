import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ACME, ADMIN, account, message, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
let raw: Database.Database;
beforeEach(async () => {
  server = await openTestApp();
  raw = new Database(server.path, { timeout: 1000 });
  await server.request('POST', '/account', { token: ACME, json: account() });
  const messages = [message('a', { batch_code: 'Q1' }), message('b'), message('c')];
  await server.request('POST', '/commands/add-messages', { token: ACME, json: { messages } });
  server.calls.length = 0;
});
afterEach(async () => {
  raw.close();
  await server.close();
});

const post = (path: string, json?: unknown, token = ACME) =>
  server.request('POST', path, { token, ...(json === undefined ? {} : { json }) });
const statusOf = async (id: string) =>
  (await server.request('GET', `/messages/${id}`, { token: ACME })).json.status;
const put = (id: string, state: string, more = '') =>
  raw.prepare(`UPDATE messages SET state = ? ${more} WHERE id = ?`).run(state, id);

describe('suspend and activate', () => {
  test('a batch', async () => {
    expect((await post('/commands/suspend?batch_code=Q1')).json).toEqual({
      ok: true,
      tenant_id: 'acme',
      batch_code: 'Q1',
      suspended_batches: ['Q1'],
      tenant_suspended: false,
      pending_messages: 1,
    });
    expect(server.calls).toEqual(['wake']);
    expect([await statusOf('a'), await statusOf('b')]).toEqual(['suspended', 'pending']);
    expect((await post('/commands/activate?batch_code=Q1')).json).toEqual({
      ok: true,
      tenant_id: 'acme',
      batch_code: 'Q1',
      suspended_batches: [],
      tenant_suspended: false,
      pending_messages: 1,
      activated_batches: ['Q1'],
    });
    expect(await statusOf('a')).toBe('pending');
  });

  test('a tenant, by its own token or by the admin who names it', async () => {
    await post('/commands/suspend?batch_code=Q1');
    expect((await post('/commands/suspend?tenant_id=acme', undefined, ADMIN)).json).toMatchObject({
      batch_code: null,
      suspended_batches: ['*', 'Q1'],
      tenant_suspended: true,
      pending_messages: 3,
    });
    expect(await post('/commands/activate?batch_code=Q1')).toMatchObject({
      status: 409,
      json: { code: 'tenant_suspended' },
    });
    expect((await post('/commands/activate?keep_batches=true')).json).toMatchObject({
      suspended_batches: ['Q1'],
      activated_batches: [],
    });
    expect((await post('/commands/activate')).json).toMatchObject({
      suspended_batches: [],
      activated_batches: ['Q1'],
    });
  });

  test('the body may say what the query says', async () => {
    expect((await post('/commands/suspend', { batch_code: 'Q1' })).json).toMatchObject({
      suspended_batches: ['Q1'],
      tenant_suspended: false,
    });
    expect((await post('/commands/suspend', { tenant_id: 'acme' }, ADMIN)).json).toMatchObject({
      suspended_batches: ['*', 'Q1'],
    });
    expect((await post('/commands/activate', { keep_batches: true })).json).toMatchObject({
      suspended_batches: ['Q1'],
    });
    expect((await post('/commands/activate?batch_code=Q1', { batch_code: 'Q1' })).json).toMatchObject({
      suspended_batches: [],
    });
  });

  test('what cannot be meant is refused', async () => {
    expect((await post('/commands/suspend?batch_code=Q1', { batch_code: 'Q2' })).status).toBe(422);
    expect((await post('/commands/suspend', { batch: 'Q1' })).status).toBe(422);
    expect((await post('/commands/suspend?batch_code=*')).status).toBe(422);
    expect((await post('/commands/activate', 'garbage')).status).toBe(422);
    expect((await post('/commands/suspend', undefined, ADMIN)).status).toBe(422);
    expect((await post('/commands/suspend?batch_code=')).status).toBe(422);
    expect((await post('/commands/suspend?batch=Q1')).status).toBe(422);
    expect((await post('/commands/activate?batch_code=Q1&keep_batches=1')).status).toBe(422);
    expect(await post('/commands/activate?tenant_id=ghost', undefined, ADMIN)).toMatchObject({
      status: 404,
      json: { code: 'tenant_not_found' },
    });
  });
});

describe('delete-messages', () => {
  test('says how many went, which were not there, and which the server may have', async () => {
    put('b', 'sending', ', handed_over = 1');
    put('c', 'sending', ', handed_over = 0');
    expect((await post('/commands/delete-messages', { ids: ['a', 'b', 'c', 'none', 'a'] })).json).toEqual({
      ok: true,
      removed: 2,
      not_found: ['none'],
      in_progress: ['b'],
    });
    expect(server.calls).toEqual(['wake']);
    expect((await post('/commands/delete-messages', { ids: ['a'] })).json).toMatchObject({
      removed: 0,
      not_found: ['a'],
    });
  });

  test('wants ids', async () => {
    for (const json of [{}, { ids: [] }, { ids: [7] }, { ids: ['a\n'] }, { ids: ['a'], force: true }])
      expect((await post('/commands/delete-messages', json)).status).toBe(422);
    const ids = Array.from({ length: 1001 }, (_, i) => `m${i}`);
    expect((await post('/commands/delete-messages', { ids })).status).toBe(422);
  });
});

describe('resolve', () => {
  test('answers the message as it is then', async () => {
    put('a', 'uncertain', ', handed_over = 1');
    expect((await post('/messages/a/resolve', { outcome: 'sent', reason: 'In its log' })).json).toMatchObject(
      {
        ok: true,
        id: 'a',
        status: 'sent',
        recipients: [{ status: 'sent' }],
      },
    );
    expect(server.calls).toEqual(['wake']);
  });

  test('is for uncertain messages only', async () => {
    expect(await post('/messages/a/resolve', { outcome: 'sent' })).toMatchObject({
      status: 409,
      json: { code: 'not_uncertain' },
    });
    expect(await post('/messages/none/resolve', { outcome: 'sent' })).toMatchObject({
      status: 404,
      json: { code: 'message_not_found' },
    });
    expect((await post('/messages/a/resolve', { outcome: 'lost' })).status).toBe(422);
    expect((await post('/messages/a/resolve', { outcome: 'sent', reason: 'a\u0007' })).status).toBe(422);
  });
});

describe('retry-messages', () => {
  test('named ones', async () => {
    put('a', 'error');
    raw.exec("UPDATE recipients SET state = 'error'");
    put('b', 'sent');
    expect((await post('/commands/retry-messages', { ids: ['a', 'b', 'none'] })).json).toEqual({
      ok: true,
      retried: 1,
      not_found: ['none'],
      skipped: [{ id: 'b', code: 'already_sent', reason: expect.any(String) }],
      skipped_count: 1,
    });
    expect(server.calls).toEqual(['wake']);
    expect(await statusOf('a')).toBe('pending');
  });

  test('all that fit, counted first', async () => {
    for (const id of ['a', 'b', 'c']) put(id, 'error');
    const filter = { status: 'error', batch_code: 'Q1', account_id: 'smtp1' };
    expect((await post('/commands/retry-messages', { filter, dry_run: true })).json).toMatchObject({
      retried: 1,
    });
    expect([await statusOf('a'), server.calls]).toEqual(['error', []]);
    const { json } = await post('/commands/retry-messages', { filter });
    expect(json).toMatchObject({ ok: true, retried: 1, not_found: [], skipped: [], skipped_count: 0 });
    expect(json).not.toHaveProperty('next_cursor');
    expect([await statusOf('a'), await statusOf('b')]).toEqual(['pending', 'error']);
  });

  test('what cannot be meant is refused', async () => {
    const filter = { status: 'error' };
    for (const json of [
      {},
      { ids: ['a'], filter },
      { ids: ['a'], dry_run: true },
      { filter: {} },
      { filter: { status: 'sent' } },
      { filter, cursor: 'x' },
    ])
      expect((await post('/commands/retry-messages', json)).status).toBe(422);
  });
});

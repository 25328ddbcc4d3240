import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createClient } from '../../src/client/index.js';
import { ACME, ADMIN, account, GLOBEX, message, openTestApp, type TestApp } from '../support/http.js';

const DAY = 86_400_000;

let server: TestApp;
let raw: Database.Database;
beforeEach(async () => {
  server = await openTestApp();
  raw = new Database(server.path, { timeout: 1000 });
  for (const token of [ACME, GLOBEX]) {
    await server.request('POST', '/account', { token, json: account() });
  }
  server.calls.length = 0;
});
afterEach(async () => {
  raw.close();
  await server.close();
});

const add = (key: string | undefined, json: unknown, token = ACME, query = '') =>
  server.request('POST', `/commands/add-messages${query}`, {
    token,
    json,
    ...(key === undefined ? {} : { headers: { 'Idempotency-Key': key } }),
  });
const one = (changes: Record<string, unknown> = {}) => ({ messages: [message('m1', changes)] });
const count = (what: string): number =>
  (raw.prepare(`SELECT COUNT(*) AS n FROM ${what}`).get() as { n: number }).n;
/** Grows with every attempt to store a message, replaced ones too. */
const everStored = (): number =>
  (raw.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'messages'").get() as { seq: number }).seq;
const markAllSent = (): void => {
  raw.exec("UPDATE messages SET state = 'sent', sent_at = 1; UPDATE recipients SET state = 'sent'");
};

describe('the same key', () => {
  test('with the same body gets the same answer, and nothing is stored or woken again', async () => {
    const body = {
      messages: [message('m1'), message('bad', { to: [] }), message('lost', { account_id: 'x' }), 7],
    };
    const first = await add('k1', body);
    expect(first).toMatchObject({ status: 200, json: { ok: true, queued: 1 } });
    expect(first.json.rejected).toHaveLength(3);
    // What was rejected for want of an account stays rejected under this key.
    await server.request('POST', '/account', { token: ACME, json: account({ id: 'x' }) });
    server.calls.length = 0;
    expect((await add('k1', body)).text).toBe(first.text);
    expect(everStored()).toBe(1);
    expect(server.calls).toEqual([]);
  });

  test('is answered the same after the messages were sent, and after they are gone', async () => {
    const first = await add('k1', one());
    markAllSent();
    expect((await add(undefined, one())).json).toMatchObject({
      queued: 0,
      rejected: [{ code: 'already_sent' }],
    });
    expect((await add('k1', one())).text).toBe(first.text);
    raw.exec('PRAGMA foreign_keys = ON; DELETE FROM messages');
    expect((await add('k1', one())).text).toBe(first.text);
    expect(count('messages')).toBe(0);
  });

  test('remembers also that nothing was queued', async () => {
    const first = await add('k1', one({ to: [] }));
    expect(first.json).toMatchObject({ queued: 0 });
    expect((await add('k1', one({ to: [] }))).text).toBe(first.text);
    expect(await add('k1', one())).toMatchObject({ status: 409 });
  });

  test('with another body is a conflict, and nothing is stored', async () => {
    await add('k1', one());
    for (const other of [one({ subject: 'Other' }), { ...one(), default_priority: 1 }]) {
      const answer = await add('k1', other);
      expect(answer).toMatchObject({ status: 409, json: { ok: false, code: 'idempotency_conflict' } });
      expect(answer.json.error).toMatch(/use a new key/);
    }
    expect(everStored()).toBe(1);
    expect((await add('k2', one({ subject: 'Other' }))).json).toMatchObject({ queued: 1 });
  });

  test('without the header the rule by id holds alone', async () => {
    await add(undefined, one());
    await add(undefined, one());
    expect(everStored()).toBeGreaterThan(1);
    expect(count('keyed_requests')).toBe(0);
  });

  test('nothing of the body is kept with it', async () => {
    await add('k1', one({ subject: 'canary-subject', body: 'canary-body' }));
    expect(raw.prepare('SELECT * FROM keyed_requests').all()).toEqual([
      {
        pk: 1,
        scope: 't:acme',
        key: 'k1',
        tenant_id: 'acme',
        hash: expect.objectContaining({ length: 32 }),
        created_at: server.clock.now,
        answer: '{"queued":1,"rejected":[]}',
      },
    ]);
  });
});

describe('keys', () => {
  test('are of one tenant, or of the admin token', async () => {
    await add('k1', one());
    expect((await add('k1', one({ subject: 'theirs' }), GLOBEX)).json).toMatchObject({ queued: 1 });
    const admins = await add('k1', { tenant_id: 'globex', messages: [message('m2')] }, ADMIN);
    expect(admins.json).toMatchObject({ queued: 1 });
    // What a tenant sent is not what the admin sent, even octet by octet.
    expect((await add('k2', one())).json).toMatchObject({ queued: 1 });
    expect((await add('k2', one(), ADMIN)).json).toMatchObject({
      queued: 0,
      rejected: [{ code: 'validation_failed' }],
    });
    expect(count('messages')).toBe(3);
  });

  test('of the admin know the tenant that the URL names', async () => {
    expect((await add('k1', one(), ADMIN, '?tenant_id=acme')).json).toMatchObject({ queued: 1 });
    expect(await add('k1', one(), ADMIN, '?tenant_id=globex')).toMatchObject({ status: 409 });
    expect((await add('k1', one(), ADMIN, '?tenant_id=acme')).json).toMatchObject({ queued: 1 });
    expect(everStored()).toBe(1);
  });

  test('of a batch for several tenants are remembered as well', async () => {
    const body = {
      messages: [
        message('m1', { tenant_id: 'acme' }),
        message('m2', { tenant_id: 'globex' }),
        message('m3', { tenant_id: 'ghost' }),
      ],
    };
    const first = await add('k1', body, ADMIN);
    expect(first.json).toMatchObject({ queued: 2, rejected: [{ id: 'm3', code: 'tenant_not_found' }] });
    markAllSent();
    expect((await add('k1', body, ADMIN)).text).toBe(first.text);
    expect(everStored()).toBe(2);
    expect(count('keyed_request_parts')).toBe(0);
  });

  test.each([
    ['empty', ''],
    ['too long', 'k'.repeat(256)],
    ['with a control character', 'a\tb'],
    ['with an invisible character', Buffer.from('a\u200bb').toString('latin1')],
  ])('that are %s are refused', async (_what, key) => {
    expect(await add(key, one())).toMatchObject({
      status: 422,
      json: { code: 'validation_failed', issues: [{ path: 'Idempotency-Key' }] },
    });
    expect(count('messages')).toBe(0);
  });

  test.each(['k'.repeat(255), 'order 17/ä'])('may be %j', async (key) => {
    const client = createClient({
      url: 'http://localhost',
      token: ACME,
      fetch: async (input, init) => server.app.request(String(input), init),
    });
    const batch = { messages: [message('m1')] };
    expect(await client.addMessages(batch, { idempotencyKey: key })).toEqual({ queued: 1, rejected: [] });
    expect(await client.addMessages(batch, { idempotencyKey: key })).toEqual({ queued: 1, rejected: [] });
    expect(everStored()).toBe(1);
    await expect(
      client.addMessages({ messages: [message('m2')] }, { idempotencyKey: key }),
    ).rejects.toMatchObject({ code: 'idempotency_conflict' });
  });

  test('of a request that is refused as a whole are free', async () => {
    const foreign = { messages: [message('m1'), message('m2', { tenant_id: 'globex' })] };
    expect(await add('k1', foreign)).toMatchObject({ status: 401, json: { code: 'tenant_mismatch' } });
    expect(await add('k1', { messages: [] })).toMatchObject({ status: 422 });
    expect(await add('k1', one(), 'wrong')).toMatchObject({ status: 401 });
    expect((await add('k1', one())).json).toMatchObject({ queued: 1 });
  });

  test('are forgotten after 24 hours, and then removed', async () => {
    await add('k1', one());
    server.clock.now += DAY - 1;
    expect(await add('k1', one({ subject: 'Other' }))).toMatchObject({ status: 409 });
    await server.store.cleanup.forgetRequests(server.clock.now);
    expect(count('keyed_requests')).toBe(1);
    server.clock.now += 1;
    expect((await add('k1', one({ subject: 'Other' }))).json).toMatchObject({ queued: 1 });
    expect(raw.prepare('SELECT subject FROM messages').all()).toEqual([{ subject: 'Other' }]);
    expect(await add('k1', one())).toMatchObject({ status: 409 });
    server.clock.now += DAY;
    for (let n = 0; n < 150; n++) {
      raw
        .prepare("INSERT INTO keyed_requests (scope, key, hash, created_at) VALUES ('admin', ?, x'00', 0)")
        .run(`old${n}`);
    }
    expect(await server.store.cleanup.forgetRequests(server.clock.now)).toBe(true);
    expect(count('keyed_requests')).toBe(51);
    expect(await server.store.cleanup.forgetRequests(server.clock.now)).toBe(false);
    expect(count('keyed_requests')).toBe(0);
  });

  test('go with their tenant', async () => {
    for (let n = 0; n < 250; n++) {
      raw
        .prepare(
          "INSERT INTO keyed_requests (scope, key, tenant_id, hash, created_at) VALUES ('t:acme', ?, 'acme', x'00', 0)",
        )
        .run(`old${n}`);
    }
    await add('k1', one());
    await add('k1', one(), ADMIN, '?tenant_id=acme');
    await add('k1', one(), GLOBEX);
    const gone = await server.request('DELETE', '/tenant/acme', { token: ADMIN });
    expect(gone.status).toBe(200);
    expect(raw.prepare('SELECT scope FROM keyed_requests').all()).toEqual([{ scope: 't:globex' }]);
  });
});

describe('requests at the same time', () => {
  test('with one key are stored once and answered alike', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => add('k1', one())));
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers[0]?.json).toMatchObject({ queued: 1, rejected: [] });
    expect(everStored()).toBe(1);
    expect(server.calls).toEqual(['wake']);
  });

  test('with one key and different bodies: the first is stored, the others are conflicts', async () => {
    const answers = await Promise.all(['a', 'b', 'c'].map((subject) => add('k1', one({ subject }))));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 409, 409]);
    expect(everStored()).toBe(1);
  });

  test('one that waited for a refusal is taken on its own', async () => {
    const [first, second] = await Promise.all([
      add('k1', { messages: [message('m1', { tenant_id: 'globex' })] }),
      add('k1', one()),
    ]);
    expect([first?.status, second?.status]).toEqual([401, 200]);
  });

  test('one that waited for a failure is tried itself', async () => {
    raw.exec("CREATE TRIGGER full BEFORE INSERT ON keyed_requests BEGIN SELECT RAISE(ABORT, 'full'); END");
    const [first, second] = await Promise.all([add('k1', one()), add('k1', one())]);
    expect([first?.status, second?.status]).toEqual([500, 500]);
    raw.exec('DROP TRIGGER full');
    expect((await add('k1', one())).json).toMatchObject({ queued: 1 });
  });
});

describe('what is broken off', () => {
  const many = {
    messages: [
      ...Array.from({ length: 1000 }, (_, n) => message(`m${n}`, n === 10 ? { account_id: 'x' } : {})),
    ],
  };

  test('before the answer is on disk has stored nothing: both are one transaction', async () => {
    raw.exec(
      "CREATE TRIGGER cut BEFORE UPDATE OF answer ON keyed_requests BEGIN SELECT RAISE(ABORT, 'cut'); END",
    );
    expect((await add('k1', one())).status).toBeGreaterThanOrEqual(500);
    expect([count('messages'), count('keyed_requests')]).toEqual([0, 0]);
    raw.exec('DROP TRIGGER cut');
    expect((await add('k1', one())).json).toMatchObject({ queued: 1 });
  });

  test('between the parts of a large batch goes on where it stood: nothing is lost, doubled or answered differently', async () => {
    raw.exec(
      "CREATE TRIGGER cut BEFORE INSERT ON messages WHEN NEW.id = 'm700' BEGIN SELECT RAISE(ABORT, 'cut'); END",
    );
    expect((await add('k1', many)).status).toBeGreaterThanOrEqual(500);
    const stored = count('messages');
    expect(stored).toBeGreaterThan(0);
    expect(stored).toBeLessThan(700);
    // What is stored is sent, although the request failed.
    expect(server.calls).toEqual(['wake']);
    raw.exec('DROP TRIGGER cut');
    markAllSent();
    expect(await add('k1', one())).toMatchObject({ status: 409 });
    const resumed = await add('k1', many);
    expect(resumed.json).toMatchObject({ queued: 999, rejected: [{ id: 'm10', code: 'unknown_account' }] });
    expect([count('messages'), everStored(), count('keyed_request_parts')]).toEqual([999, 999, 0]);
    expect((await add('k1', many)).text).toBe(resumed.text);
  });
});

test('the document names the header and the code', async () => {
  const { json } = await server.request('GET', '/openapi.json', { token: ACME });
  expect(json.paths).toMatchObject({
    '/commands/add-messages': {
      post: {
        parameters: expect.arrayContaining([
          expect.objectContaining({
            name: 'Idempotency-Key',
            in: 'header',
            required: false,
            schema: expect.objectContaining({ type: 'string', minLength: 1, maxLength: 255 }),
          }),
        ]),
        responses: { 409: { description: '`idempotency_conflict`' } },
      },
    },
  });
});

import { afterEach, beforeEach, expect, test } from 'vitest';
import { ACME, ADMIN, account, GLOBEX, message, openTestApp, type TestApp } from '../support/http.js';
import { startSmtpServer } from '../support/smtp-servers.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp({ probe: { hello: 'test.example' } });
});
afterEach(() => server.close());

const put = (json: unknown, token = ACME) => server.request('POST', '/account', { token, json });
const get = (path: string, token = ACME) => server.request('GET', path, { token });

test('an account is stored with its defaults, and no answer holds its password', async () => {
  const answers = [await put(account()), await get('/account/smtp1'), await get('/accounts')];
  expect(answers[0]?.json).toEqual({ ok: true, id: 'smtp1', tenant_id: 'acme' });
  expect(answers[1]?.json).toMatchObject({
    ok: true,
    id: 'smtp1',
    tenant_id: 'acme',
    port: 587,
    tls: 'starttls',
    tls_verify: true,
    has_password: true,
    limit_per_minute: null,
    is_default: true,
  });
  for (const { text } of answers) expect(text).not.toMatch(/swordfish|ENC:/);
  expect(server.calls).toEqual(['wake']);
});

test.each([
  [{ tls: 'none' }, 'none', 25],
  [{ tls: 'ssl' }, 'ssl', 465],
  [{ port: 465 }, 'ssl', 465],
  [{ use_ssl: true }, 'ssl', 465],
  [{ use_tls: false }, 'starttls', 587],
  [{ use_tls: false, use_ssl: false, port: 25 }, 'starttls', 25],
  [{ use_tls: true, port: 465 }, 'ssl', 465],
  [{ use_tls: null, port: null, tls: null }, 'starttls', 587],
])('%j means %s on port %d', async (said, tls, port) => {
  expect((await put(account(said))).status).toBe(200);
  expect((await get('/account/smtp1')).json).toMatchObject({ tls, port });
});

test('`username` is `user`, and both together must agree', async () => {
  const { user: _user, ...unnamed } = account();
  expect((await put({ ...unnamed, username: 'someone' })).status).toBe(200);
  expect((await get('/account/smtp1')).json.user).toBe('someone');
  expect((await put({ ...unnamed, user: 'a', username: 'b' })).status).toBe(422);
});

test.each([
  { host: 'elsewhere.example.com' },
  { port: 2525 },
  { tls: 'none' },
  { user: 'other' },
  { tls_verify: false },
])('a stored password is never sent elsewhere: %j without it is secret_required', async (change) => {
  await put(account());
  const { password: _password, ...silent } = account();
  expect((await put({ ...silent, limit_per_minute: 5 })).status).toBe(200);
  const moved = await put({ ...silent, ...change });
  expect(moved).toMatchObject({
    status: 422,
    json: { code: 'secret_required', issues: [{ path: 'password' }] },
  });
  expect((await put(account(change))).status).toBe(200);
});

test.each([
  [{ host: 'not a host' }, 'host'],
  [{ port: 70000 }, 'port'],
  [{ tls: 'auto' }, 'tls'],
  [{ id: '-x' }, 'id'],
  [{ limit_per_hour: 1.5 }, 'limit_per_hour'],
  [{ max_connections: 0 }, 'max_connections'],
  [{ tls_ca: 'no PEM' }, 'tls_ca'],
  [{ from_address: 'nobody' }, 'from_address'],
  [{ password: 'line\r\nbreak' }, 'password'],
])('422 for %j', async (change, path) => {
  const answer = await put(account(change));
  expect(answer).toMatchObject({ status: 422, json: { code: 'validation_failed', issues: [{ path }] } });
});

test('without the encryption key a password is refused, never stored in clear', async () => {
  const { Keyring } = await import('../../src/crypto/keyring.js');
  const keyless = await openTestApp({ keyring: () => new Keyring([], undefined) });
  const answer = await keyless.request('POST', '/account', { token: ACME, json: account() });
  expect(answer).toMatchObject({ status: 503, json: { code: 'key_missing' } });
  expect((await keyless.request('GET', '/accounts', { token: ACME })).json).toEqual({
    ok: true,
    accounts: [],
  });
  await keyless.close();
});

test('accounts are listed page by page: of one tenant by id, for an admin of all', async () => {
  for (const id of ['c', 'a', 'b']) await put(account({ id }));
  await put(account({ id: 'a' }), GLOBEX);
  const pages = async (path: string, token: string) => {
    const seen: string[][] = [];
    for (let cursor: unknown = ''; cursor !== undefined; ) {
      const query = cursor === '' ? '' : `&cursor=${String(cursor)}`;
      const { json } = await get(`${path}limit=2${query}`, token);
      seen.push(
        (json.accounts as Array<{ id: string; tenant_id: string }>).map(
          (row) => `${row.tenant_id}/${row.id}`,
        ),
      );
      cursor = json.next_cursor;
    }
    return seen;
  };
  expect(await pages('/accounts?', ACME)).toEqual([['acme/a', 'acme/b'], ['acme/c']]);
  expect(await pages('/accounts?', ADMIN)).toEqual([
    ['acme/c', 'acme/a'],
    ['acme/b', 'globex/a'],
  ]);
  expect(await pages('/accounts?tenant_id=globex&', ADMIN)).toEqual([['globex/a']]);
  expect((await get('/accounts?cursor=a', ADMIN)).status).toBe(422);
});

test('an account that unsent messages need is kept, unless they may end in error', async () => {
  await put(account());
  await server.request('POST', '/commands/add-messages', {
    token: ACME,
    json: { messages: [message('m1')] },
  });
  const kept = await server.request('DELETE', '/account/smtp1', { token: ACME });
  expect(kept).toMatchObject({ status: 409, json: { code: 'account_in_use' } });
  const gone = await server.request('DELETE', '/account/smtp1?force=true', { token: ACME });
  expect(gone.json).toEqual({ ok: true });
  expect((await get('/messages/m1')).json).toMatchObject({ status: 'error', account_id: 'smtp1' });
  expect((await server.request('DELETE', '/account/smtp1', { token: ACME })).status).toBe(404);
});

test('a test of an account logs in with the stored password and says how far it got', async () => {
  const smtp = await startSmtpServer({ tls: 'starttls', auth: { user: 'u', password: 'swordfish' } });
  const there = { host: 'localhost', port: smtp.port, tls_ca: smtp.caPem };
  await put(account(there));
  const good = await server.request('POST', '/account/smtp1/test', { token: ACME });
  expect(good.status).toBe(200);
  expect(good.json).toMatchObject({
    ok: true,
    steps: [{ status: 'ok' }, { status: 'ok' }, { status: 'ok' }],
  });
  await put(account({ ...there, password: 'wrong-password' }));
  const bad = await server.request('POST', '/account/smtp1/test', { token: ACME });
  expect(bad).toMatchObject({ status: 200, json: { ok: false } });
  expect((bad.json.steps as unknown[]).at(-1)).toMatchObject({ name: 'login', status: 'failed' });
  expect(bad.text).not.toContain('wrong-password');
  expect(smtp.messages).toEqual([]);
  await smtp.close();
});

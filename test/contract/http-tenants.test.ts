import { afterEach, beforeEach, expect, test } from 'vitest';
import { ACME, ADMIN, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

const put = (json: unknown) => server.request('POST', '/tenant', { token: ADMIN, json });
const list = (query = '') => server.request('GET', `/tenants${query}`, { token: ADMIN });

test('a new tenant answers its generated secrets once, and its token works', async () => {
  const { status, json } = await put({ tenant_id: 'initech', name: 'Initech' });
  expect(status).toBe(200);
  expect(json).toEqual({
    ok: true,
    tenant_id: 'initech',
    api_key: expect.stringMatching(/^mpt_/),
    webhook_secret: expect.stringMatching(/^whsec_/),
  });
  expect((await server.request('GET', '/status', { token: String(json.api_key) })).status).toBe(200);
  expect((await put({ tenant_id: 'initech', name: 'Initech 2' })).json).toEqual({ ok: true });
  expect(server.calls).toEqual(['wake', 'wake']);
});

test('secrets that the operator chose are not answered, and `id` is an alias of `tenant_id`', async () => {
  const { json } = await put({ id: 'initech', token: 'chosen-token', webhook_secret: 'chosen-secret' });
  expect(json).toEqual({ ok: true, tenant_id: 'initech' });
  expect((await server.request('GET', '/status', { token: 'chosen-token' })).status).toBe(200);
  expect((await put({ id: 'a', tenant_id: 'b' })).status).toBe(422);
  expect(await put({ name: 'nobody' })).toMatchObject({
    status: 422,
    json: { issues: [{ path: 'tenant_id' }] },
  });
});

test('a list holds no secret and no hash', async () => {
  await put({
    tenant_id: 'initech',
    token: 'chosen-token',
    client_base_url: 'https://initech.example',
    client_auth: { method: 'basic', user: 'bob', password: 'swordfish' },
    webhook_secret: 'chosen-secret',
    rate_limits: { hourly: 10, daily: 0 },
  });
  const { json, text } = await list('?cursor=globex');
  expect(json.tenants).toMatchObject([
    {
      id: 'initech',
      client_auth: { method: 'basic', user: 'bob' },
      has_webhook_secret: true,
      rate_limits: { hourly: 10, daily: null },
    },
  ]);
  expect(text).not.toMatch(/swordfish|chosen|ENC:|hash|[0-9a-f]{64}/);
});

test('callback credentials never move to another URL unsaid', async () => {
  const tenant = { tenant_id: 'initech', client_base_url: 'https://initech.example' };
  await put({ ...tenant, client_auth: { method: 'bearer', token: 'swordfish' } });
  const moved = await put({ tenant_id: 'initech', client_base_url: 'https://evil.example' });
  expect(moved).toMatchObject({
    status: 422,
    json: { code: 'secret_required', issues: [{ path: 'client_auth' }] },
  });
});

test('a token that another tenant or the admin has is 409', async () => {
  for (const token of [ACME, ADMIN]) {
    const answer = await put({ tenant_id: 'initech', token });
    expect(answer).toMatchObject({ status: 409, json: { code: 'already_exists' } });
    expect(answer.text).not.toContain(token);
  }
});

test.each([
  [{ tenant_id: '../etc' }, 'tenant_id'],
  [{ tenant_id: 'x', client_auth: { method: 'bearer' } }, 'client_auth.token'],
  [{ tenant_id: 'x', client_auth: { method: 'basic', user: 'u' } }, 'client_auth.password'],
  [{ tenant_id: 'x', client_auth: { method: 'none', secret: 1 } }, 'client_auth.secret'],
  [{ tenant_id: 'x', token: 't', token_expires_at: 'tomorrow' }, 'token_expires_at'],
  [{ tenant_id: 'x', token_expires_at: 1 }, 'token_expires_at'],
  [{ tenant_id: 'x', token: 'é'.repeat(300) }, 'token'],
  [{ tenant_id: 'x', rate_limits: { hourly: -1 } }, 'rate_limits.hourly'],
  [{ tenant_id: 'x', client_base_url: 'ftp://x' }, 'client_base_url'],
])('422 for %j', async (json, path) => {
  const answer = await put(json);
  expect(answer).toMatchObject({ status: 422, json: { code: 'validation_failed', issues: [{ path }] } });
});

test('tenants are listed page by page, with a cursor only while there is more', async () => {
  await server.addTenant('asleep', 'asleep-token', { active: false });
  const first = await list('?limit=2');
  expect((first.json.tenants as Array<{ id: string }>).map(({ id }) => id)).toEqual(['acme', 'asleep']);
  const second = await list(`?limit=2&cursor=${String(first.json.next_cursor)}`);
  expect((second.json.tenants as Array<{ id: string }>).map(({ id }) => id)).toEqual(['globex']);
  expect(second.json).not.toHaveProperty('next_cursor');
  const active = await list('?active_only=true&limit=2');
  expect((active.json.tenants as Array<{ id: string }>).map(({ id }) => id)).toEqual(['acme', 'globex']);
  expect(active.json).not.toHaveProperty('next_cursor');
});

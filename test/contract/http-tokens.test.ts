import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ACME, ADMIN, GLOBEX, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

const admin = (method: string, path: string, json?: unknown) =>
  server.request(method, path, { token: ADMIN, ...(json === undefined ? {} : { json }) });
const statusOf = async (token: string) => (await server.request('GET', '/status', { token })).status;
const GENERATED = /^mp[a-z]?_[\w-]{43,}$/;

describe('/tenant/{id}/api-key', () => {
  test('makes a new token, and the one before dies', async () => {
    const { status, json } = await admin('POST', '/tenant/acme/api-key');
    expect({ status, json }).toEqual({
      status: 200,
      json: { ok: true, tenant_id: 'acme', api_key: expect.stringMatching(/^\S{40,}$/) },
    });
    expect(await statusOf(json.api_key as string)).toBe(200);
    expect(await statusOf(ACME)).toBe(401);
    expect(await statusOf(GLOBEX)).toBe(200);
    expect(server.calls).toContain('wake');
  });

  test('expires when it is told to, as Unix seconds or ISO 8601', async () => {
    const soon = server.clock.now + 1000;
    for (const expires_at of [soon / 1000, new Date(soon).toISOString()]) {
      const { json } = await admin('POST', '/tenant/acme/api-key', { expires_at });
      const now = server.clock.now;
      expect(await statusOf(json.api_key as string)).toBe(200);
      server.clock.now = soon;
      expect(await statusOf(json.api_key as string)).toBe(401);
      server.clock.now = now;
    }
  });

  test('is revoked, and then there is none to revoke', async () => {
    expect(await admin('DELETE', '/tenant/acme/api-key')).toMatchObject({ status: 200, json: { ok: true } });
    expect(await statusOf(ACME)).toBe(401);
    expect(await admin('DELETE', '/tenant/acme/api-key')).toMatchObject({
      status: 404,
      json: { code: 'not_found' },
    });
  });

  test.each([
    ['a time that has passed', { expires_at: 1 }],
    ['no time', { expires_at: 'tomorrow' }],
    ['an unknown field', { token: 'chosen' }],
  ])('refuses %s and leaves the token alone', async (_what, json) => {
    expect(await admin('POST', '/tenant/acme/api-key', json)).toMatchObject({
      status: 422,
      json: { code: 'validation_failed' },
    });
    expect(await statusOf(ACME)).toBe(200);
  });

  test.each(['POST', 'DELETE'])('%s for a tenant that is not there is 404', async (method) => {
    expect(await admin(method, '/tenant/nosuch/api-key')).toMatchObject({
      status: 404,
      json: { code: 'tenant_not_found' },
    });
  });

  test.each(['POST', 'DELETE'])('%s is not for the tenant itself', async (method) => {
    const answer = await server.request(method, '/tenant/acme/api-key', { token: ACME });
    expect(answer).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    expect(await statusOf(ACME)).toBe(200);
  });
});

describe('/tenant/{id}/tokens', () => {
  const create = (json: object) => admin('POST', '/tenant/acme/tokens', json);
  const list = async () => (await admin('GET', '/tenant/acme/tokens')).json.tokens;

  test('makes several that work beside each other, each shown once', async () => {
    const shop = await create({ name: 'shop' });
    const batch = await create({ name: 'batch', expires_at: '2031-01-01T00:00:00Z' });
    expect(shop.json).toEqual({ ok: true, tenant_id: 'acme', name: 'shop', token: expect.any(String) });
    for (const token of [ACME, shop.json.token, batch.json.token])
      expect(await statusOf(token as string)).toBe(200);
    const listed = await admin('GET', '/tenant/acme/tokens');
    const at = new Date(server.clock.now).toISOString();
    expect(listed.json).toEqual({
      ok: true,
      tokens: [
        { name: 'batch', created_at: at, expires_at: '2031-01-01T00:00:00.000Z', last_used_at: null },
        { name: 'default', created_at: at, expires_at: null, last_used_at: null },
        { name: 'shop', created_at: at, expires_at: null, last_used_at: null },
      ],
    });
    expect(listed.text).not.toMatch(/[0-9a-f]{64}/);
    for (const { json } of [shop, batch]) expect(listed.text).not.toContain(json.token);
  });

  test('revokes one of them and no other', async () => {
    const { json: shop } = await create({ name: 'shop' });
    await admin('POST', '/tenant/globex/tokens', { name: 'shop' });
    expect(await admin('DELETE', '/tenant/acme/tokens/shop')).toMatchObject({
      status: 200,
      json: { ok: true },
    });
    expect(await statusOf(shop.token as string)).toBe(401);
    expect(await statusOf(ACME)).toBe(200);
    expect((await admin('GET', '/tenant/globex/tokens')).json.tokens).toMatchObject([
      { name: 'default' },
      { name: 'shop' },
    ]);
    expect(await admin('DELETE', '/tenant/acme/tokens/shop')).toMatchObject({
      status: 404,
      json: { code: 'not_found' },
    });
  });

  test('a name is taken once', async () => {
    const { json } = await create({ name: 'shop' });
    expect(await create({ name: 'shop' })).toMatchObject({ status: 409, json: { code: 'already_exists' } });
    expect(await create({ name: 'default' })).toMatchObject({ status: 409 });
    expect(await statusOf(json.token as string)).toBe(200);
  });

  test.each([
    [{}],
    [{ name: '' }],
    [{ name: 'a b' }],
    [{ name: '../x' }],
    [{ name: 'x'.repeat(65) }],
    [{ name: ['x'] }],
    [{ name: 'x', expires_at: 0 }],
    [{ name: 'x', expires_at: 1e300 }],
    [{ name: 'x', expires_at: '2030-01-01' }],
    [{ name: 'x', token: 'chosen' }],
  ])('%j is 422', async (json) => {
    expect(await create(json)).toMatchObject({ status: 422, json: { code: 'validation_failed' } });
    expect(await list()).toHaveLength(1);
  });

  test('a tenant that is not there has none', async () => {
    const refused = { status: 404, json: { code: 'tenant_not_found' } };
    expect(await admin('GET', '/tenant/nosuch/tokens')).toMatchObject(refused);
    expect(await admin('POST', '/tenant/nosuch/tokens', { name: 'x' })).toMatchObject(refused);
    expect(await admin('DELETE', '/tenant/nosuch/tokens/x')).toMatchObject(refused);
  });
});

test('POST /tenant takes a token of one’s own choice, which is answered never', async () => {
  const made = await admin('POST', '/tenant', { tenant_id: 'initech', token: 'chosen-by-me' });
  expect(made.json).toMatchObject({ ok: true, tenant_id: 'initech' });
  expect(made.text).not.toContain('chosen-by-me');
  expect(made.json).not.toHaveProperty('api_key');
  expect(await statusOf('chosen-by-me')).toBe(200);
});

test('a new admin token is answered once, and the old one is dead at once', async () => {
  const { status, json } = await admin('POST', '/commands/rotate-token');
  expect({ status, json }).toEqual({ status: 200, json: { ok: true, token: expect.any(String) } });
  expect(await statusOf(ADMIN)).toBe(401);
  expect(await statusOf(json.token as string)).toBe(200);
  expect(new Set([json.token as string, ADMIN]).size).toBe(2);
  expect((json.token as string).length).toBeGreaterThanOrEqual(43);
});

test('an admin token of the environment cannot be rotated from here', async () => {
  await server.store.settings.tell('admin_token_source', 'environment');
  expect(await admin('POST', '/commands/rotate-token')).toMatchObject({
    status: 503,
    json: { code: 'token_missing', error: expect.stringContaining('GMP_API_TOKEN') },
  });
  expect(await statusOf(ADMIN)).toBe(200);
});

test('tokens are generated with a prefix that scanners know, and no two are alike', async () => {
  const tokens = new Set<unknown>();
  for (let i = 0; i < 5; i++) tokens.add((await admin('POST', '/tenant/acme/api-key')).json.api_key);
  expect(tokens.size).toBe(5);
  for (const token of tokens) expect(token).toMatch(GENERATED);
});

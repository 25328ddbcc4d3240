import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ROUTES } from '../../src/http/create-app.js';
import type { Route } from '../../src/http/route.js';
import { ACME, ADMIN, account, GLOBEX, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

const refusals = ['unauthorized', 'forbidden', 'tenant_mismatch'];
const label = (route: Route) => `${route.method.toUpperCase()} ${route.path}`;
const call = (
  route: Route,
  token?: string,
  query = '',
  id = route.tenantParam === undefined ? 'some-id' : 'acme',
) =>
  server.request(
    route.method.toUpperCase(),
    route.path.replace('{id}', id).replace('{name}', 'some-name') + query,
    {
      ...(token === undefined ? {} : { token }),
      ...(route.method === 'post' ? { json: {} } : {}),
    },
  );

describe.each(ROUTES.map((route) => [label(route), route] as const))('%s', (_name, route) => {
  test('answers without a token only if it is for anyone', async () => {
    const { status, json } = await call(route);
    if (route.who === 'anyone') expect(status).toBe(200);
    else expect({ status, json }).toMatchObject({ status: 401, json: { ok: false, code: 'unauthorized' } });
  });

  test('refuses a token that nobody has', async () => {
    const { status, json } = await call(route, 'no such token');
    if (route.who === 'anyone') expect(status).toBe(200);
    else expect({ status, json }).toMatchObject({ status: 401, json: { code: 'unauthorized' } });
  });

  test('a tenant token never works on an admin route', async () => {
    const { status, json } = await call(route, ACME);
    if (route.who === 'admin')
      expect({ status, json }).toMatchObject({ status: 403, json: { code: 'forbidden' } });
    else expect(refusals).not.toContain(json.code);
  });

  test('a tenant token that names another tenant in the path is refused', async () => {
    if (route.tenantParam === undefined) return;
    const { status, json } = await call(route, ACME, '', 'globex');
    expect({ status, json }).toMatchObject({ status: 401, json: { code: 'tenant_mismatch' } });
  });

  test('a tenant token that names another tenant is refused', async () => {
    if (route.who !== 'tenant' && route.who !== 'any-token') return;
    const { status, json } = await call(route, ACME, '?tenant_id=globex');
    expect({ status, json }).toMatchObject({
      status: 401,
      json: { code: 'tenant_mismatch', error: 'Token not authorized for this tenant' },
    });
  });

  test('takes the admin token', async () => {
    const { status, json } = await call(route, ADMIN);
    expect(refusals).not.toContain(json.code);
    expect(status).toBeLessThan(500);
  });
});

test('token and role are looked at before content type, size, JSON and fields', async () => {
  const bad = { body: '{', headers: { 'Content-Type': 'text/plain', 'Content-Length': '999999999' } };
  expect((await server.request('POST', '/tenant', bad)).status).toBe(401);
  expect((await server.request('POST', '/tenant', { ...bad, token: ACME })).status).toBe(403);
  const elsewhere = await server.request('POST', '/account?tenant_id=globex', { ...bad, token: ACME });
  expect(elsewhere.json.code).toBe('tenant_mismatch');
});

test('a tenant token that names another tenant in the body is refused before the body is validated', async () => {
  const json = { tenant_id: 'globex', nonsense: 1 };
  const { status, json: answer } = await server.request('POST', '/account', { token: ACME, json });
  expect({ status, code: answer.code }).toEqual({ status: 401, code: 'tenant_mismatch' });
});

test('a tenant token that names another tenant in a message of a batch queues nothing', async () => {
  await server.request('POST', '/account', { token: ACME, json: account() });
  const messages = [
    { id: 'a', from: 'a@example.com', to: 'b@example.com', body: '' },
    { id: 'b', tenant_id: 'globex', from: 'a@example.com', to: 'b@example.com', body: '' },
  ];
  const answer = await server.request('POST', '/commands/add-messages', { token: ACME, json: { messages } });
  expect({ status: answer.status, code: answer.json.code }).toEqual({ status: 401, code: 'tenant_mismatch' });
  expect((await server.request('GET', '/messages', { token: ACME })).json.messages).toEqual([]);
});

test('rows of another tenant are answered exactly as rows that do not exist', async () => {
  await server.request('POST', '/account', { token: ACME, json: account() });
  for (const [method, path] of [
    ['GET', '/account/smtp1'],
    ['DELETE', '/account/smtp1'],
    ['POST', '/account/smtp1/test'],
  ] as const) {
    const foreign = await server.request(method, path, { token: GLOBEX });
    const absent = await server.request(method, path.replace('smtp1', 'none1'), { token: GLOBEX });
    expect(foreign.status).toBe(404);
    expect(foreign.text).toBe(absent.text.replaceAll('none1', 'smtp1'));
  }
  expect((await server.request('GET', '/accounts', { token: GLOBEX })).json.accounts).toEqual([]);
  expect((await server.request('GET', '/account/smtp1', { token: ACME })).status).toBe(200);
});

test('with an admin token, query and body must name the same tenant, and one of them must', async () => {
  const twice = await server.request('POST', '/account?tenant_id=acme', {
    token: ADMIN,
    json: account({ tenant_id: 'globex' }),
  });
  expect({ status: twice.status, code: twice.json.code }).toEqual({ status: 422, code: 'validation_failed' });
  const none = await server.request('POST', '/account', { token: ADMIN, json: account() });
  expect(none).toMatchObject({ status: 422, json: { issues: [{ path: 'tenant_id' }] } });
  const ghost = await server.request('POST', '/account?tenant_id=ghost', { token: ADMIN, json: account() });
  expect(ghost).toMatchObject({ status: 404, json: { code: 'tenant_not_found' } });
  const once = await server.request('POST', '/account?tenant_id=acme', { token: ADMIN, json: account() });
  expect(once.status).toBe(200);
});

test('inactive tenants and expired tokens lose all access', async () => {
  await server.addTenant('asleep', 'asleep-token', { active: false });
  await server.addTenant('late', 'late-token', { expiresAt: server.clock.now + 1000 });
  expect((await server.request('GET', '/status', { token: 'asleep-token' })).status).toBe(401);
  expect((await server.request('GET', '/status', { token: 'late-token' })).status).toBe(200);
  server.clock.now += 1000;
  expect((await server.request('GET', '/status', { token: 'late-token' })).status).toBe(401);
});

test('encoded paths never reach a handler without its authentication', async () => {
  for (const path of [
    '/%61ccounts',
    '/%2561ccounts',
    '//accounts',
    '/./accounts',
    '/x/../accounts',
    '/ACCOUNTS',
    '/accounts%2f',
  ]) {
    expect((await server.request('GET', path)).status, path).toBe(401);
  }
  expect((await server.request('GET', '/%74enants', { token: ACME })).status).toBe(403);
  expect((await server.request('GET', '/%61ccounts?tenant_id=globex', { token: ACME })).status).toBe(401);
});

test('non-ASCII tokens work, as UTF-8 and as Latin-1; oversize and broken ones are 401, never 500', async () => {
  await server.addTenant('intl', 'żółw-ключ');
  await server.addTenant('latin', 'café');
  await server.addTenant('long', 'x'.repeat(512));
  const status = async (token: string) => (await server.request('GET', '/status', { token })).status;
  const utf8 = (text: string) => Buffer.from(text).toString('latin1');
  expect(await status(utf8('żółw-ключ'))).toBe(200);
  expect(await status(utf8('café'))).toBe(200);
  expect(await status('café')).toBe(200);
  expect(await status('x'.repeat(512))).toBe(200);
  expect(await status('x'.repeat(513))).toBe(401);
  expect(await status(utf8('é'.repeat(257)))).toBe(401);
  expect(await status('\u00ff\u00fe')).toBe(401);
  expect(await status('')).toBe(401);
});

test('failed logins are logged each, successful ones once a minute, and no token is ever logged', async () => {
  const { log } = server;
  await server.request('GET', '/status', { token: 'wrong-token' });
  await server.request('GET', '/status', { token: ACME });
  await server.request('GET', '/status', { token: ACME });
  const lines = log
    .filter(({ message }) => message.startsWith('API auth'))
    .map(({ level, message }) => `${level} ${message}`);
  expect(lines).toEqual([
    'warn API auth failed: invalid token',
    "info API auth successful for tenant 'acme'",
  ]);
  server.clock.now += 60_000;
  await server.request('GET', '/status', { token: ACME });
  expect(log.filter(({ message }) => message.startsWith('API auth successful'))).toHaveLength(2);
  expect(JSON.stringify(log)).not.toMatch(/wrong-token|secret-token/);
});

test('every request is in the access log under its declared path', async () => {
  await server.request('GET', '/account/some-id?tenant_id=acme', { token: ADMIN });
  await server.request('GET', '/nowhere', { token: ADMIN });
  // A line is written right after its answer.
  await new Promise((resolve) => setImmediate(resolve));
  const fields = server.log.filter((line) => 'ms' in line.fields).map((line) => line.fields);
  expect(fields).toMatchObject([
    { method: 'GET', route: '/account/{id}', status: 404, token: 'admin', address: '' },
    { method: 'GET', route: 'unknown route', status: 404, token: 'admin' },
  ]);
});

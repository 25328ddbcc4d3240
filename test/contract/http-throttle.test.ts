import { afterEach, beforeEach, expect, test } from 'vitest';
import { clientAddress } from '../../src/http/client-address.js';
import { AuthAudit } from '../../src/services/auth-audit.js';
import { ACME, ADMIN, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
let audit: AuthAudit;
beforeEach(async () => {
  const quiet = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  server = await openTestApp({
    trustedProxies: ['127.0.0.0/8', '10.1.0.0/16'],
    authAudit: {
      failed: (address) => audit.failed(address),
      succeeded: (...who) => audit.succeeded(...who),
    },
  });
  audit = new AuthAudit({
    onWritten: () => undefined,
    store: server.store,
    now: () => server.clock.now,
    log: quiet,
  });
});
afterEach(async () => {
  await audit.close();
  await server.close();
});

/** A request as the listener hands it over: the peer is of its socket. */
async function ask(peer: string, token: string | undefined, headers: Record<string, string> = {}) {
  const request = new Request('http://localhost/status', {
    headers: { ...(token === undefined ? {} : { 'X-API-Token': token }), ...headers },
  });
  const response = await server.app.fetch(request, { incoming: { socket: { remoteAddress: peer } } });
  const json = (await response.json()) as Record<string, unknown>;
  return { status: response.status, retryAfter: response.headers.get('retry-after'), json };
}
const fail = async (peer: string, times: number, headers: Record<string, string> = {}) => {
  const statuses: number[] = [];
  for (let i = 0; i < times; i++) statuses.push((await ask(peer, `wrong-${i}`, headers)).status);
  return statuses;
};

test('an address that failed ten times within a minute is told to wait', async () => {
  expect(await fail('192.0.2.1', 10)).toEqual(Array(10).fill(401));
  server.clock.now += 15_000;
  const refused = await ask('192.0.2.1', 'wrong');
  expect(refused).toMatchObject({
    status: 429,
    retryAfter: '45',
    json: { ok: false, code: 'too_many_attempts', error: expect.stringMatching(/\.$/) },
  });
  server.clock.now += 45_000;
  expect((await ask('192.0.2.1', 'wrong')).status).toBe(401);
});

test('a missing, an oversize and a broken token count like a wrong one', async () => {
  for (const token of [undefined, 'x'.repeat(513), '\u00ff\u00fe', '', ...'abcdef'])
    expect((await ask('192.0.2.1', token)).status).toBe(401);
  expect((await ask('192.0.2.1', undefined)).status).toBe(429);
});

test('a valid token is never locked out, nor does it free the address', async () => {
  await fail('192.0.2.1', 12);
  for (const token of [ACME, ADMIN]) expect((await ask('192.0.2.1', token)).status).toBe(200);
  expect((await ask('192.0.2.1', 'wrong')).status).toBe(429);
});

test('one address does not stop another', async () => {
  await fail('192.0.2.1', 12);
  expect((await ask('192.0.2.2', 'wrong')).status).toBe(401);
  expect((await ask('::ffff:192.0.2.1', 'wrong')).status).toBe(429);
});

test('behind a trusted proxy the client of X-Real-IP is counted, not the proxy', async () => {
  for (const proxy of ['127.0.0.1', '10.1.2.3', '::ffff:127.0.0.1'])
    await fail(proxy, 4, { 'X-Real-IP': '203.0.113.7' });
  expect((await ask('127.0.0.1', 'wrong', { 'X-Real-IP': '203.0.113.7' })).status).toBe(429);
  expect((await ask('127.0.0.1', 'wrong', { 'X-Real-IP': '203.0.113.8' })).status).toBe(401);
  expect((await ask('127.0.0.1', 'wrong')).status).toBe(401);
});

test('what anybody else says in X-Real-IP or X-Forwarded-For is not believed', async () => {
  const statuses: number[] = [];
  for (let i = 0; i < 11; i++) {
    const headers = {
      'X-Real-IP': `203.0.113.${i}`,
      'X-Forwarded-For': `203.0.113.${i}`,
      Forwarded: `for=203.0.113.${i}`,
    };
    statuses.push((await ask('192.0.2.1', 'wrong', headers)).status);
  }
  expect(statuses).toEqual([...Array(10).fill(401), 429]);
});

test.each(['not an address', '203.0.113.1, 203.0.113.2', '', '203.0.113.1:80', 'unknown'])(
  'a trusted proxy that says %j is counted itself',
  (claimed) => {
    expect(clientAddress(['127.0.0.1'])('127.0.0.1', claimed)).toBe('127.0.0.1');
  },
);

test('failures are audited one by one up to ten, then as a sum, with the client’s address', async () => {
  await fail('127.0.0.1', 25, { 'X-Real-IP': '203.0.113.7' });
  await audit.close();
  const { items } = { items: await server.store.audit.list({ actor: 'anonymous' }, { limit: 100 }) };
  expect(new Set(items.map(({ address }) => address))).toEqual(new Set(['203.0.113.7']));
  expect(items.filter(({ event }) => event === 'auth.failed')).toHaveLength(10);
  const [summary] = items.filter(({ event }) => event === 'auth.failed.summary');
  expect(JSON.parse(summary?.detail ?? '{}')).toEqual({ count: 15 });
});

test('successes are audited as a sum per token, and no token is anywhere in the trail', async () => {
  for (let i = 0; i < 3; i++) await ask('192.0.2.1', ACME);
  await ask('192.0.2.1', 'wrong-token');
  await audit.close();
  const items = await server.store.audit.list({}, { limit: 100 });
  expect(items.find(({ event }) => event === 'auth.succeeded.summary')).toMatchObject({
    actor: 'tenant:acme/default',
    tenantId: 'acme',
    detail: '{"count":3}',
  });
  expect(JSON.stringify(items)).not.toMatch(/wrong-token|secret-token/);
  expect((await server.store.tokens.list({ tenantId: 'acme' } as never))[0]?.lastUsedAt).toBe(
    server.clock.now,
  );
});

test('a flood from many addresses fills neither the trail nor memory', async () => {
  for (let i = 0; i < 700; i++) audit.failed(`10.0.${i >> 8}.${i & 255}`);
  for (let i = 0; i < 700; i++) audit.failed(`10.0.${i >> 8}.${i & 255}`);
  await audit.close();
  const items = await server.store.audit.list({ actor: 'anonymous' }, { limit: 1000 });
  expect(items.length).toBeLessThanOrEqual(2 * 200 + 11);
});

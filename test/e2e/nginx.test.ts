import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { type Nginx, startNginx } from '../support/nginx.js';
import { until } from '../support/processes.js';

const e2e = openE2eHome();
const ADMIN = 'admin-token-behind-nginx';
let url = '';
let nginx: Nginx;
afterAll(() => e2e.close());
afterAll(() => nginx?.close());
beforeAll(async () => {
  ({ url } = await e2e.start('behind', { env: { GMP_API_TOKEN: ADMIN } }));
  nginx = await startNginx(url);
});

interface Event {
  event: string;
  address: string | null;
}

const log = () => readFileSync(join(e2e.home, 'behind', 'daemon.log'), 'utf8');
const ask = (from: string, token: string, headers = {}) =>
  nginx.ask(from, '/status', { 'X-API-Token': token, ...headers });
const failures = async () =>
  ((await callApi(url, ADMIN, 'GET', '/command-log?event=auth.failed')).json.events as Event[]).map(
    ({ address }) => address,
  );

it('the API is reached over TLS', async () => {
  const { status, text } = await ask('127.0.0.2', ADMIN);
  expect({ status, json: JSON.parse(text) }).toMatchObject({ status: 200, json: { ok: true } });
});

it('the audit trail and the access log know the client’s address, not the proxy’s', async () => {
  expect((await ask('127.0.0.3', 'wrong')).status).toBe(401);
  await until(async () => (await failures()).length === 1, 'the failure is in the trail');
  expect(await failures()).toEqual(['127.0.0.3']);
  const { text } = await nginx.ask('127.0.0.4', '/tenants', { 'X-API-Token': ADMIN });
  expect(JSON.parse(text)).toMatchObject({ ok: true });
  // A line is written once its answer is on its way.
  await until(() => /GET \/tenants 200 .*127\.0\.0\.4/.test(log()), 'the request is in the log');
});

it('what a client says itself about its address is not believed', async () => {
  const before = (await failures()).length;
  const headers = {
    'X-Real-IP': '203.0.113.9',
    'X-Forwarded-For': '203.0.113.9',
    Forwarded: 'for=203.0.113.9',
  };
  expect((await ask('127.0.0.5', 'wrong', headers)).status).toBe(401);
  await until(async () => (await failures()).length === before + 1, 'the failure is in the trail');
  expect((await failures())[0]).toBe('127.0.0.5');
});

it('the throttle stops one client, not the proxy nor the others behind it', async () => {
  for (let i = 0; i < 10; i++) expect((await ask('127.0.0.6', `wrong-${i}`)).status).toBe(401);
  const refused = await ask('127.0.0.6', 'wrong');
  expect(refused.status).toBe(429);
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
  expect((await ask('127.0.0.7', 'wrong')).status).toBe(401);
  expect((await ask('127.0.0.6', ADMIN)).status).toBe(200);
  await until(
    async () => (await failures()).filter((address) => address === '127.0.0.6').length === 10,
    'ten are in the trail',
  );
});

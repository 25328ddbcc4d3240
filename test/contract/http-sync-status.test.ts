import { afterEach, beforeEach, expect, test } from 'vitest';
import { tenantScope } from '../../src/store/scope.js';
import { ACME, ADMIN, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

test('GET /tenants/sync-status tells the admin when each endpoint answered last, and what it is due', async () => {
  const { now } = server.clock;
  const base = 'https://app.example.com';
  await server.request('POST', '/tenant', { token: ADMIN, json: { id: 'globex', client_base_url: base } });
  await server.request('POST', '/tenant', { token: ADMIN, json: { id: 'quiet', client_base_url: base } });
  await server.store.reports.settle(
    tenantScope('quiet'),
    { acknowledged: [], postponed: [], lastSyncAt: now - 301_000, quietUntil: now + 1000 },
    now,
  );
  const get = async (token: string, query = '') =>
    await server.request('GET', `/tenants/sync-status${query}`, { token });
  const common = { active: true, client_base_url: base, in_dnd: false };
  expect((await get(ADMIN)).json).toEqual({
    ok: true,
    sync_interval_seconds: 300,
    tenants: [
      {
        ...common,
        id: 'acme',
        name: 'acme',
        client_base_url: null,
        last_sync_ts: null,
        next_sync_due: false,
      },
      { ...common, id: 'globex', name: 'globex', last_sync_ts: null, next_sync_due: true },
      {
        ...common,
        id: 'quiet',
        name: 'quiet',
        last_sync_ts: Math.floor((now - 301_000) / 1000),
        next_sync_due: false,
        in_dnd: true,
      },
    ],
  });
  server.clock.now += 1000;
  expect((await get(ADMIN, '?limit=1&cursor=globex')).json.tenants).toMatchObject([
    { id: 'quiet', next_sync_due: true, in_dnd: false },
  ]);
  await server.request('POST', '/tenant', { token: ADMIN, json: { id: 'globex', active: false } });
  expect((await get(ADMIN, '?active_only=true')).json.tenants).toMatchObject([
    { id: 'acme' },
    { id: 'quiet' },
  ]);
  expect((await get(ACME)).status).toBe(403);
});

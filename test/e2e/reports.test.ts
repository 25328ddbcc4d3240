import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { account, message } from '../support/http.js';
import { until } from '../support/processes.js';
import { openReportEndpoint, type ReportEndpoint } from '../support/report-endpoint.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const ADMIN = 'an-admin-token-of-our-own';
const e2e = openE2eHome();
let smtp: SmtpTestServer;
let endpoint: ReportEndpoint;
beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'none' });
  endpoint = await openReportEndpoint();
});
afterAll(() => e2e.close());
afterAll(() => endpoint.close());
afterAll(() => smtp.close());

const env = {
  GMP_API_TOKEN: ADMIN,
  MAIL_PROXY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
  MAIL_PROXY_ALLOW_PRIVATE: '127.0.0.0/8',
};
const told = () => endpoint.calls.flatMap(({ reports }) => reports);

/** Adds `acme` with an account, and gives a function that queues a message. */
async function prepare(url: string, tenant: object) {
  const post = async (path: string, body: object) =>
    expect(await callApi(url, ADMIN, 'POST', path, body)).toMatchObject({ status: 200, json: { ok: true } });
  await post('/tenant', { id: 'acme', ...tenant });
  const { port } = smtp;
  await post(
    '/account',
    account({ tenant_id: 'acme', host: '127.0.0.1', port, tls: 'none', user: null, password: null }),
  );
}
const queue = (url: string, id: string) =>
  callApi(url, ADMIN, 'POST', '/commands/add-messages', { messages: [message(id, { tenant_id: 'acme' })] });
const untilTold = (id: string) => until(() => told().some((report) => report.id === id), `${id} is reported`);

it('a daemon reports what it sent at once, and after it was killed what was not acknowledged', async () => {
  const served = await e2e.serve('own', env);
  await prepare(served.url, {
    client_base_url: endpoint.url,
    client_auth: { method: 'bearer', token: 'swordfish' },
  });
  const began = Date.now();
  await queue(served.url, 'm1');
  await untilTold('m1');
  // Long before anybody is called without need, however busy the machine is.
  expect(Date.now() - began).toBeLessThan(20_000);
  expect(told()).toEqual([{ tenant_id: 'acme', id: 'm1', pk: 1, sent_ts: expect.any(Number) }]);
  expect(endpoint.calls.at(-1)?.headers).toMatchObject({
    authorization: 'Bearer swordfish',
    'webhook-signature': expect.stringMatching(/^v1,/),
  });

  const answer = endpoint.answer;
  endpoint.answer = () => undefined;
  await queue(served.url, 'm2');
  await untilTold('m2');
  served.child.kill('SIGKILL');
  await once(served.child, 'close');
  endpoint.answer = answer;
  endpoint.calls.length = 0;
  const again = await e2e.serve('own', env);
  await untilTold('m2');
  const status = async () => (await callApi(again.url, ADMIN, 'GET', '/tenants/sync-status')).json;
  while (((await status()).tenants as Array<{ last_sync_ts: number | null }>)[0]?.last_sync_ts === null);
  expect(await status()).toMatchObject({ tenants: [{ id: 'acme', next_sync_due: false, in_dnd: false }] });
  again.child.kill('SIGTERM');
  await once(again.child, 'close');
});

it('the global endpoint gets its token though nothing of the daemon shows it', async () => {
  endpoint.calls.length = 0;
  const started = await e2e.start('shared', {
    env: { ...env, GMP_CLIENT_SYNC_URL: `${endpoint.url}/all`, GMP_CLIENT_SYNC_TOKEN: 'operator-token' },
  });
  await prepare(started.url, { use_global_sync: true });
  await queue(started.url, 'm1');
  await untilTold('m1');
  expect(endpoint.calls.at(-1)).toMatchObject({
    path: '/all',
    headers: { authorization: 'Bearer operator-token' },
  });
});

import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createPostReport } from '../../src/reports/post.js';
import { testCertificates } from '../support/certificates.js';
import { until } from '../support/processes.js';
import { answerJson, openReportEndpoint, type ReportEndpoint } from '../support/report-endpoint.js';
import { openTestReports, type TestReports } from '../support/reports.js';

let reports: TestReports;
let endpoint: ReportEndpoint;
beforeEach(async () => {
  reports = await openTestReports();
  endpoint = await openReportEndpoint();
});
afterEach(async () => {
  await reports.close();
  await endpoint.close();
});
const logged = (text: string) =>
  until(() => reports.log.some((line) => line.includes(text)), `"${text}" is told`);

describe('credentials', () => {
  it.each([
    ['none', { method: 'none' } as const, undefined],
    ['bearer', { method: 'bearer', token: 'swordfish' } as const, 'Bearer swordfish'],
    [
      'basic',
      { method: 'basic', user: 'ann', password: 'swördfish' } as const,
      `Basic ${Buffer.from('ann:swördfish').toString('base64')}`,
    ],
  ])('are sent as %s', async (_method, clientAuth, expected) => {
    await reports.tenant('acme', {
      clientBaseUrl: `${endpoint.url}/app/`,
      clientSyncPath: '/in?x=1',
      clientAuth,
    });
    await reports.reporter.start();
    const [call] = await endpoint.waitFor(1);
    expect(call?.headers.authorization).toBe(expected);
    expect(call?.path).toBe('/app/in?x=1');
  });

  it('are in no line of the log, whatever fails', async () => {
    endpoint.answer = (_call, response) => answerJson(response, { error: 'swordfish' }, 401);
    const clientAuth = { method: 'bearer', token: 'swordfish' } as const;
    await reports.tenant('acme', { clientBaseUrl: endpoint.url, clientAuth });
    await reports.reporter.start();
    await logged('status 401');
    reports.clock.now++;
    await reports.tenant('acme', { clientAuth: { method: 'bearer', token: 'sword\nfish' } });
    await logged('could not be reached');
    expect(reports.log.join('\n')).not.toMatch(/sword/);
  });

  it('that do not open hold the reports of their tenant alone, and are told once', async () => {
    const clientAuth = { method: 'bearer', token: 'swordfish' } as const;
    for (const id of ['acme', 'globex'])
      await reports.tenant(id, { clientBaseUrl: endpoint.url, clientAuth });
    // Pointed elsewhere by somebody who can write the database.
    reports.raw.exec("UPDATE tenants SET client_sync_path = '/stolen' WHERE id = 'acme'");
    await reports.reporter.start();
    await logged('The callback credential of tenant "acme" does not open');
    for (let n = 0; n < 3; n++) {
      reports.pass(900_000);
      await reports.quiet();
    }
    await reports.settle('globex', 'm1');
    await reports.untilWaiting(0);
    expect(reports.log.filter((line) => line.includes('does not open'))).toHaveLength(1);
    expect(endpoint.calls.some(({ path }) => path === '/stolen')).toBe(false);
  });
});

describe('the signature', () => {
  it.each([
    ['as it is generated', 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', undefined],
    ['of another form, by its bytes', 'my secret, as I like it', 'raw'],
  ] as const)('verifies with a secret %s', async (_what, webhookSecret, format) => {
    reports.clock.now = Date.now();
    await reports.tenant('acme', { clientBaseUrl: endpoint.url, webhookSecret });
    await reports.settle('acme', 'm1');
    await reports.reporter.start();
    const [call] = await endpoint.waitFor(1);
    const webhook = new Webhook(webhookSecret, format === undefined ? {} : { format });
    const headers = call?.headers as Record<string, string>;
    expect(webhook.verify(call?.text ?? '', headers)).toMatchObject({ delivery_report: [{ id: 'm1' }] });
    expect(() => webhook.verify(`${call?.text} `, headers)).toThrow();
  });
});

describe('destinations', () => {
  it.each([
    'http://127.0.0.1:1',
    'http://[::1]:1',
    'http://localhost:1',
    'http://0x7f.1:1',
    'http://169.254.169.254',
  ])('%s is refused to a tenant unless the operator has opened it', async (clientBaseUrl) => {
    await reports.close();
    reports = await openTestReports({}, '');
    await reports.tenant('acme', { clientBaseUrl });
    await reports.reporter.start();
    await logged('the host is on a private network');
  });

  it('dials the very address that was checked', async () => {
    const asked: string[] = [];
    const guard = async (host: string) => {
      asked.push(host);
      return '127.0.0.1';
    };
    await reports.close();
    reports = await openTestReports({ post: createPostReport(guard) });
    await reports.tenant('acme', { clientBaseUrl: endpoint.url.replace('127.0.0.1', 'app.example.com') });
    await reports.reporter.start();
    const [call] = await endpoint.waitFor(1);
    expect(call?.headers.host).toMatch(/^app\.example\.com:/);
    expect(asked).toEqual(['app.example.com']);
  });
});

describe('an endpoint by TLS', () => {
  it('is asked for by its name, and gets nothing unless its certificate is trusted', async () => {
    const { valid } = await testCertificates();
    const names: Array<string | undefined> = [];
    let requests = 0;
    const server = createServer(
      {
        cert: valid.certPem,
        key: valid.keyPem,
        SNICallback: (name, done) => {
          names.push(name);
          done(null);
        },
      },
      () => requests++,
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await reports.close();
    reports = await openTestReports({ post: createPostReport(async () => '127.0.0.1') });
    await reports.tenant('acme', { clientBaseUrl: `https://app.example.com:${port}` });
    await reports.reporter.start();
    await logged('Reports of tenant');
    expect(names).toEqual(['app.example.com']);
    expect(requests).toBe(0);
    expect(reports.log.at(-1)).toMatch(/\((UNABLE_TO|SELF_SIGNED|ERR_TLS|DEPTH)[A-Z_]*\)/);
    await new Promise((resolve) => server.close(resolve));
  });
});

describe('the global endpoint', () => {
  it('is for tenants alone that have none of their own and may use it, and is not checked', async () => {
    const own = await openReportEndpoint();
    const global = { url: `${endpoint.url}/all`, auth: { method: 'bearer', token: 'operator' } as const };
    await reports.close();
    reports = await openTestReports({ global }, '127.0.0.0/8');
    await reports.store.settings.tell('global_sync', 'true');
    await reports.addTenant('third', 'third-token');
    await reports.tenant('acme', { useGlobalSync: true });
    await reports.tenant('globex', { useGlobalSync: true, clientBaseUrl: own.url });
    await reports.reporter.start();
    for (const id of ['acme', 'globex', 'third']) await reports.settle(id, `of-${id}`);
    await reports.untilWaiting(0);
    const told = (at: ReportEndpoint) => at.calls.flatMap((call) => call.reports.map(({ id }) => id));
    expect([told(endpoint), told(own)]).toEqual([['of-acme'], ['of-globex']]);
    expect(endpoint.calls[0]).toMatchObject({ path: '/all', headers: { authorization: 'Bearer operator' } });
    expect(own.calls[0]?.headers.authorization).toBeUndefined();
    await own.close();
  });

  it('is on a private network as the operator likes', async () => {
    await reports.close();
    reports = await openTestReports({ global: { url: endpoint.url, auth: { method: 'none' } } }, '');
    await reports.store.settings.tell('global_sync', 'true');
    await reports.tenant('acme', { useGlobalSync: true });
    await reports.reporter.start();
    await endpoint.waitFor(1);
  });
});

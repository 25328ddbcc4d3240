import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const ADMIN = 'an-admin-token-of-our-own';
const e2e = openE2eHome();
let smtp: SmtpTestServer;
let url = '';
let stopDaemon: () => Promise<void>;
let account: string[] = [];
afterAll(() => e2e.close());
afterAll(() => smtp?.close());
beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'starttls', auth: { user: 'u', password: 'swordfish' } });
  const key = randomBytes(32).toString('base64');
  const served = await e2e.serve('myserver', { GMP_API_TOKEN: ADMIN, MAIL_PROXY_ENCRYPTION_KEY: key });
  url = served.url;
  stopDaemon = async () => {
    const ended = new Promise((resolve) => served.child.once('close', resolve));
    served.child.kill('SIGTERM');
    await ended;
  };
  const ca = e2e.file('ca.pem', smtp.caPem);
  account = [
    '--host',
    '127.0.0.1',
    '--port',
    String(smtp.port),
    '--tls-ca',
    ca,
    '--user',
    'u',
    '--password-stdin',
  ];
});

const token = { GMP_API_TOKEN: ADMIN };
const cli = (line: string, env: Record<string, string> = {}, ...more: string[]) =>
  e2e.cli(['myserver', ...line.split(' '), ...more], { env, input: 'swordfish' });
const json = async (line: string, ...more: string[]) => {
  const { code, stdout, stderr } = await cli(line, token, ...more, '--json');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return JSON.parse(stdout) as Record<string, unknown>;
};

it('the key is nowhere in the server’s directory', () => {
  expect(existsSync(join(e2e.home, 'myserver', 'mail_service.db'))).toBe(true);
  expect(existsSync(join(e2e.home, 'myserver', 'encryption.key'))).toBe(false);
});

describe('a command that needs a key which only the daemon has', () => {
  it('adds and changes a tenant through the daemon', async () => {
    const added = await json('tenants add acme --name ACME');
    expect(added).toEqual({
      ok: true,
      tenant_id: 'acme',
      api_key: expect.any(String),
      webhook_secret: expect.any(String),
    });
    expect((await callApi(url, added.api_key as string, 'GET', '/accounts')).status).toBe(200);
    expect(await json('tenants update acme --hourly-limit 9')).toMatchObject({
      name: 'ACME',
      rate_limits: { hourly: 9, daily: null },
    });
    expect(await cli('tenants add acme', token)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('exists already'),
    });
    expect(await cli('tenants update nosuch --name x', token)).toMatchObject({ code: 3 });
  });

  it('adds, changes and tests an account through the daemon', async () => {
    expect(await json('acme accounts add', ...account)).toMatchObject({ id: 'smtp1', has_password: true });
    expect(await json('acme accounts add', ...account)).toMatchObject({ id: 'smtp2', is_default: false });
    expect(await json('acme accounts update smtp1', '--limit-hour', '5', '--password-stdin')).toMatchObject({
      limit_per_hour: 5,
      user: 'u',
      port: smtp.port,
    });
    expect(await json('acme accounts update smtp1 --limit-day 50')).toMatchObject({
      limit_per_hour: 5,
      limit_per_day: 50,
    });
    expect(await json('acme accounts test smtp1')).toMatchObject({
      ok: true,
      steps: [{ status: 'ok' }, { status: 'ok' }, { status: 'ok' }],
    });
    expect(smtp.seen.auth).toEqual(['u']);
    expect(smtp.seen.mail).toEqual([]);
  });

  it('takes the port of the new TLS mode, as it does here', async () => {
    await json('acme accounts add --id plain --host h.example --user u --password-stdin');
    expect(await json('acme accounts update plain --tls ssl --password-stdin')).toMatchObject({ port: 465 });
    expect(await json('acme accounts update plain --tls ssl --port 4650 --password-stdin')).toMatchObject({
      port: 4650,
    });
    expect(await json('acme accounts update plain --tls ssl --limit-day 5')).toMatchObject({ port: 4650 });
  });

  it('shows what was refused there as if it were refused here', async () => {
    expect(await cli('acme accounts add --id smtp1', token, ...account)).toMatchObject({ code: 1 });
    expect(await cli('nosuch accounts add', token, ...account)).toMatchObject({ code: 3 });
    const bound = await cli('acme accounts update smtp1 --host localhost --json', token);
    expect(bound.code).toBe(2);
    expect(JSON.parse(bound.stdout)).toMatchObject({ ok: false, code: 'secret_required' });
  });

  it.each([
    ['tenants add globex'],
    ['acme accounts add --host h --user u --password-stdin'],
    ['acme accounts update smtp1 --password-stdin'],
    ['acme accounts test smtp1'],
  ])('without GMP_API_TOKEN ends with 4 and says so: %s', async (line) => {
    const before = e2e.counts('myserver');
    const { code, stdout, stderr } = await cli(line);
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toMatch(/^Error: .*GMP_API_TOKEN.*\n$/);
    expect(e2e.counts('myserver')).toEqual(before);
  });

  it('with a wrong token ends with 4, and with a tenant’s token where the admin’s is needed too', async () => {
    const wrong = await cli('tenants add globex --json', { GMP_API_TOKEN: 'wrong' });
    expect({ code: wrong.code, why: JSON.parse(wrong.stdout) }).toMatchObject({
      code: 4,
      why: { code: 'unauthorized' },
    });
    const { api_key } = await json('tenants add small');
    const tenants = await cli('tenants add globex --json', { GMP_API_TOKEN: api_key as string });
    expect({ code: tenants.code, why: JSON.parse(tenants.stdout) }).toMatchObject({
      code: 4,
      why: { code: 'forbidden' },
    });
  });

  it('what only reads works without one; what is audited does not, even without a secret in it', async () => {
    expect(await cli('acme accounts update smtp1 --limit-hour 6')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('GMP_API_TOKEN'),
    });
    expect(await cli('acme accounts update smtp1 --limit-hour 6', token)).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await cli('acme accounts list --json')).toMatchObject({ code: 0, stderr: '' });
  });
});

describe('run-now', () => {
  it('asks the running daemon, and without a token ends with 4', async () => {
    expect(await json('acme run-now')).toEqual({ ok: true });
    expect(await cli('nosuch run-now', token)).toMatchObject({ code: 3, stdout: '' });
    expect(await cli('acme run-now')).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('GMP_API_TOKEN'),
    });
  });

  it('ends with 5 when the daemon is stopped, as what needs its key ends with 4', async () => {
    await stopDaemon();
    expect(await cli('acme run-now', token)).toMatchObject({ code: 5, stdout: '' });
    expect(await cli('acme run-now')).toMatchObject({ code: 5, stdout: '' });
    expect(await cli('tenants add globex', token)).toMatchObject({ code: 4, stdout: '' });
  });
});

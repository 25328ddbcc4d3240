import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { until } from '../support/processes.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const e2e = openE2eHome();
let url = '';
let admin = '';
let mailbox: SmtpTestServer;
afterAll(() => e2e.close());
afterAll(() => mailbox.close());
beforeAll(async () => {
  mailbox = await startSmtpServer({ tls: 'none' });
  ({ url, token: admin } = await e2e.start('alpha'));
  for (const id of ['acme', 'globex']) await callApi(url, admin, 'POST', '/tenant', { tenant_id: id });
});

const statusOf = async (token: string) => (await callApi(url, token, 'GET', '/messages')).status;
const DAY = 86_400_000;

interface Created {
  name: string;
  token: string;
  expires_at: string | null;
}

describe('tokens', () => {
  let shop: Created;

  it('create shows a token once; it works at once, until it expires', async () => {
    const before = Date.now();
    shop = await e2e.json<Created>('alpha acme tokens create shop --expires 90d');
    expect(shop).toMatchObject({
      ok: true,
      tenant_id: 'acme',
      name: 'shop',
      token: expect.stringMatching(/^mpt_[\w-]{43}$/),
    });
    const expires = Date.parse(shop.expires_at ?? '');
    expect(expires).toBeGreaterThanOrEqual(before + 90 * DAY);
    expect(expires).toBeLessThanOrEqual(Date.now() + 90 * DAY);
    expect(await statusOf(shop.token)).toBe(200);

    const people = await e2e.cli('alpha acme tokens create forever');
    expect(people.code).toBe(0);
    const [, token = ''] = /shown once\): (\S+)\n$/.exec(people.stdout) ?? [];
    expect(await statusOf(token)).toBe(200);
  });

  it('--expires ends a token at its time', async () => {
    const brief = await e2e.json<Created>('alpha acme tokens create brief --expires 3s');
    expect(await statusOf(brief.token)).toBe(200);
    await until(async () => (await statusOf(brief.token)) === 401, 'the token has expired');
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(brief.expires_at ?? ''));
  });

  it('list shows names, expiry and last use as the API does, never a token', async () => {
    const [json, table, csv] = await Promise.all(
      ['--json', '', '--csv'].map((form) => e2e.cli(`alpha acme tokens list ${form}`)),
    );
    expect(JSON.parse(json?.stdout ?? '')).toEqual(
      (await callApi(url, admin, 'GET', '/tenant/acme/tokens')).json,
    );
    const { tokens } = JSON.parse(json?.stdout ?? '') as {
      tokens: Array<{ name: string; last_used_at: string | null }>;
    };
    expect(tokens.map(({ name }) => name)).toEqual(['brief', 'default', 'forever', 'shop']);
    expect(tokens.find(({ name }) => name === 'shop')?.last_used_at).toMatch(/Z$/);
    expect(tokens.find(({ name }) => name === 'default')?.last_used_at).toBeNull();
    for (const result of [json, table, csv]) {
      expect(result?.stdout).toContain('shop');
      expect(result?.stdout).not.toMatch(/mpt_|[0-9a-f]{64}/);
    }
  });

  it('revoke kills one token at once and no other', async () => {
    expect(await e2e.json('alpha acme tokens revoke shop')).toEqual({ ok: true });
    expect(await statusOf(shop.token)).toBe(401);
    expect(await e2e.cli('alpha acme tokens revoke shop')).toMatchObject({ code: 3 });
    expect((await e2e.json<{ tokens: object[] }>('alpha acme tokens list')).tokens).toHaveLength(3);
  });

  it('refuse a name that is taken or none, and a time that is none', async () => {
    const results = await Promise.all(
      ['create forever', 'create a/b', 'create x --expires soon', 'create x --expires 0d', 'create'].map(
        (line) => e2e.cli(`alpha acme tokens ${line}`),
      ),
    );
    expect(results.map(({ code }) => code)).toEqual([1, 2, 2, 2, 2]);
    expect((await e2e.cli('alpha acme tokens revoke nosuch')).code).toBe(3);
  });

  it('are of a tenant that is there', async () => {
    for (const line of ['create x', 'list'])
      expect(await e2e.cli(`alpha nosuch tokens ${line} --json`)).toMatchObject({
        code: 3,
        stdout: expect.stringContaining('tenant_not_found'),
      });
  });
});

describe('tenants', () => {
  it('suspend takes every token’s access and all sending away, activate gives both back', async () => {
    const { token } = await e2e.json<Created>('alpha globex tokens create one');
    const account = { id: 'smtp1', tenant_id: 'globex', host: '127.0.0.1', port: mailbox.port, tls: 'none' };
    await callApi(url, admin, 'POST', '/account', account);
    const message = {
      tenant_id: 'globex',
      from: 'a@example.com',
      to: 'b@example.net',
      subject: 'x',
      body: 'x',
    };
    const post = (id: string, as = admin) =>
      callApi(url, as, 'POST', '/commands/add-messages', { messages: [{ ...message, id }] });

    expect(await e2e.json('alpha tenants suspend globex')).toMatchObject({ ok: true });
    expect(await statusOf(token)).toBe(401);
    expect((await post('refused', token)).status).toBe(401);
    expect((await post('waits')).json).toMatchObject({ queued: 1 });
    await callApi(url, admin, 'POST', '/commands/run-now', { tenant_id: 'globex' });
    // Another tenant's mail, sent later, gets through meanwhile.
    await callApi(url, admin, 'POST', '/account', { ...account, tenant_id: 'acme' });
    await callApi(url, admin, 'POST', '/commands/add-messages', {
      messages: [{ ...message, id: 'other', tenant_id: 'acme' }],
    });
    await mailbox.waitFor(1);
    expect((await callApi(url, admin, 'GET', '/messages/waits?tenant_id=globex')).json).toMatchObject({
      sent_ts: null,
      retry_count: 0,
    });
    expect(mailbox.messages).toHaveLength(1);

    expect(await e2e.json('alpha tenants activate globex')).toMatchObject({ ok: true });
    await mailbox.waitFor(2);
    expect(await statusOf(token)).toBe(200);
    expect(await e2e.cli('alpha tenants suspend nosuch')).toMatchObject({ code: 3 });
  });
});

describe('token rotate', () => {
  it('shows a new admin token once, and the old one is dead at once', async () => {
    const { admin_token: token } = await e2e.json<{ admin_token: string }>('alpha token rotate');
    expect(token).toMatch(/^mpa_[\w-]{43}$/);
    expect(await statusOf(admin)).toBe(401);
    expect(await statusOf(token)).toBe(200);
    admin = token;
  });

  it('ends with 4 while the token comes from the environment, which it cannot change', async () => {
    const env = { GMP_API_TOKEN: 'admin-token-of-the-environment' };
    const key = Buffer.alloc(32, 5).toString('base64');
    const { url: at, child } = await e2e.serve('beta', { ...env, MAIL_PROXY_ENCRYPTION_KEY: key });
    for (const call of [{}, env]) {
      const refused = await e2e.cli('beta token rotate', {
        env: { MAIL_PROXY_ENCRYPTION_KEY: key, ...call },
      });
      expect(refused).toMatchObject({
        code: 4,
        stdout: '',
        stderr: expect.stringContaining('GMP_API_TOKEN'),
      });
    }
    // Without the key the command goes through the daemon, and is told the same.
    expect(await e2e.cli('beta token rotate', { env })).toMatchObject({ code: 4, stdout: '' });
    expect((await callApi(at, env.GMP_API_TOKEN, 'GET', '/messages')).status).toBe(200);
    const closed = once(child, 'close');
    child.kill('SIGTERM');
    await closed;
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { runOnTerminal } from '../support/terminal.js';

const e2e = openE2eHome();
afterAll(() => e2e.close());
let url = '';
let admin = '';
beforeAll(async () => {
  ({ url, token: admin } = await e2e.start('myserver'));
});

const viaHttp = async (id: string): Promise<Record<string, unknown> | undefined> => {
  const { json } = await callApi(url, admin, 'GET', '/tenants');
  return (json.tenants as Array<Record<string, unknown>>).find((tenant) => tenant.id === id);
};

describe('tenants add', () => {
  it('prints token and webhook secret once, in the form of the HTTP answer', async () => {
    const added = await e2e.json<Record<string, string>>('myserver tenants add acme --name ACME');
    const created = await callApi(url, admin, 'POST', '/tenant', { tenant_id: 'globex' });
    expect(Object.keys(added)).toEqual(Object.keys(created.json));
    expect(added).toMatchObject({ ok: true, tenant_id: 'acme' });
    expect((await callApi(url, added.api_key, 'GET', '/messages')).status).toBe(200);
    for (const command of ['tenants show acme', 'tenants list']) {
      const { stdout } = await e2e.cli(`myserver ${command} --json`);
      expect(stdout).not.toContain(added.api_key);
      expect(stdout).not.toContain(added.webhook_secret);
    }
  });

  it('takes a token of the operator’s choice from a file or stdin, and then prints none', async () => {
    const file = e2e.file('token', 'a-token-of-our-own-choice\n');
    expect(await e2e.json(['myserver', 'tenants', 'add', 'byfile', '--token-file', file])).not.toHaveProperty(
      'api_key',
    );
    expect((await callApi(url, 'a-token-of-our-own-choice', 'GET', '/accounts')).status).toBe(200);
    await e2e.json('myserver tenants add bystdin --token-stdin', { input: 'another-token-of-ours' });
    expect((await callApi(url, 'another-token-of-ours', 'GET', '/accounts')).status).toBe(200);
  });

  it('refuses an id that is taken, and the token of another, without changing anything', async () => {
    const before = e2e.counts('myserver');
    expect((await e2e.cli('myserver tenants add acme')).code).toBe(1);
    const taken = await e2e.cli('myserver tenants add thief --token-stdin', {
      input: 'another-token-of-ours',
    });
    expect(taken).toMatchObject({ code: 1, stdout: '' });
    expect(taken.stderr).toMatch(/^Error: .*token is in use.*\n$/);
    expect(e2e.counts('myserver')).toEqual(before);
  });
});

describe('tenants list and show', () => {
  it('--json is what GET /tenants answers', async () => {
    const { json } = await callApi(url, admin, 'GET', '/tenants');
    expect(await e2e.json('myserver tenants list')).toEqual(json);
  });

  it('show --json is the tenant of that list', async () => {
    expect(await e2e.json('myserver tenants show acme')).toEqual({ ok: true, ...(await viaHttp('acme')) });
  });

  it('34: --csv neutralises cells that a spreadsheet would run', async () => {
    await e2e.json(['myserver', 'tenants', 'add', 'formula', '--name', '=HYPERLINK("http://evil","x")']);
    const { stdout } = await e2e.cli('myserver tenants list --csv');
    expect(stdout.split('\r\n')[0]).toBe('ID,NAME,ACTIVE,ENDPOINT,CREATED');
    expect(stdout).toContain(`formula,"'=HYPERLINK(""http://evil"",""x"")",yes`);
  });

  it('34: a table shows characters that would drive the terminal as text', async () => {
    await e2e.json(['myserver', 'tenants', 'add', 'bidi', '--name', 'nice\u202egnp.exe']);
    expect((await e2e.cli('myserver tenants list')).stdout).toContain('nice\\u202egnp.exe');
  });
});

describe('tenants update', () => {
  it('changes what is named, keeps the rest, and is in force over HTTP at once', async () => {
    const updated = await e2e.json([
      'myserver',
      'tenants',
      'update',
      'acme',
      '--hourly-limit',
      '7',
      '--on-uncertain',
      'hold',
    ]);
    expect(updated).toMatchObject({
      name: 'ACME',
      rate_limits: { hourly: 7, daily: null },
      on_uncertain: 'hold',
    });
    expect(updated).toEqual({ ok: true, ...(await viaHttp('acme')) });
  });

  it('asks for callback credentials again when the URL that they are bound to changes', async () => {
    const secret = e2e.file('callback', 'callback-secret');
    const bearer = ['--auth-method', 'bearer', '--auth-secret-file', secret];
    await e2e.json(['myserver', 'tenants', 'update', 'acme', '--base-url', 'https://one.example', ...bearer]);
    const changes = ['--base-url https://two.example', '--sync-path /other', '--attachment-path /other'];
    const answers = await Promise.all(
      changes.map((change) => e2e.cli(`myserver tenants update acme ${change} --json`)),
    );
    for (const [i, { code, stdout }] of answers.entries()) {
      const { code: why } = JSON.parse(stdout) as { code: string };
      expect({ change: changes[i], code, why }).toEqual({
        change: changes[i],
        code: 2,
        why: 'secret_required',
      });
    }
    expect(await viaHttp('acme')).toMatchObject({
      client_base_url: 'https://one.example',
      client_auth: { method: 'bearer' },
    });
    await e2e.json(['myserver', 'tenants', 'update', 'acme', '--base-url', 'https://two.example', ...bearer]);
    expect(await viaHttp('acme')).toMatchObject({ client_base_url: 'https://two.example' });
  });

  it('with nothing to change is a usage error, of an unknown tenant not found', async () => {
    expect((await e2e.cli('myserver tenants update acme')).code).toBe(2);
    expect((await e2e.cli('myserver tenants update nosuch --name x')).code).toBe(3);
  });
});

describe('tenants delete', () => {
  it('refuses without a terminal unless --force is given', async () => {
    const { code, stdout, stderr } = await e2e.cli('myserver tenants delete byfile');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('--force');
    expect(await viaHttp('byfile')).toBeDefined();
  });

  it('asks on a terminal, and a bare Enter is no', async () => {
    const dialogue = await runOnTerminal(
      ['myserver', 'tenants', 'delete', 'byfile'],
      { MAIL_PROXY_HOME: e2e.home },
      [['Delete tenant byfile', '\r']],
    );
    expect(dialogue.code).toBe(1);
    expect(await viaHttp('byfile')).toBeDefined();
  });

  it('deletes when the answer is yes', async () => {
    const dialogue = await runOnTerminal(
      ['myserver', 'tenants', 'delete', 'byfile'],
      { MAIL_PROXY_HOME: e2e.home },
      [['Delete tenant byfile', 'y\r']],
    );
    expect(dialogue.code).toBe(0);
    expect(await viaHttp('byfile')).toBeUndefined();
  });

  it('with --force deletes, and its token ends at once', async () => {
    expect(await e2e.json('myserver tenants delete bystdin --force')).toEqual({ ok: true });
    expect((await callApi(url, 'another-token-of-ours', 'GET', '/accounts')).status).toBe(401);
    expect((await e2e.cli('myserver tenants delete bystdin --force')).code).toBe(3);
  });
});

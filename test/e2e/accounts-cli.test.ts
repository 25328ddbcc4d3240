import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { testCertificates } from '../support/certificates.js';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { runOnTerminal } from '../support/terminal.js';

const e2e = openE2eHome();
afterAll(() => e2e.close());
let url = '';
let admin = '';
beforeAll(async () => {
  // Nothing is sent: what is queued stays unsent.
  ({ url, token: admin } = await e2e.start('myserver', { env: { GMP_SCHEDULER_ACTIVE: 'false' } }));
  for (const tenant of ['acme', 'globex', 'typist'])
    await callApi(url, admin, 'POST', '/tenant', { tenant_id: tenant });
});

const acme = (line: string | string[], options: Parameters<typeof e2e.cli>[1] = {}) =>
  e2e.cli(['myserver', 'acme', ...(typeof line === 'string' ? line.split(' ') : line)], options);
const acmeJson = (line: string, options: Parameters<typeof e2e.cli>[1] = {}) =>
  e2e.json<Record<string, unknown>>(`myserver acme ${line}`, options);
const viaHttp = async (id: string) =>
  (await callApi(url, admin, 'GET', `/account/${id}?tenant_id=acme`)).json;
const password = { env: { MAIL_PROXY_SMTP_PASSWORD: 'swordfish' } };

describe('accounts add', () => {
  it('takes the first free of smtp1, smtp2, … and the port of its TLS mode', async () => {
    expect(await acmeJson('accounts add --host a.example --user u', password)).toMatchObject({
      id: 'smtp1',
      port: 587,
    });
    expect(await acmeJson('accounts add --host b.example --tls ssl')).toMatchObject({
      id: 'smtp2',
      port: 465,
      tls: 'ssl',
    });
    expect(await acmeJson('accounts add --host c.example --tls none')).toMatchObject({
      id: 'smtp3',
      port: 25,
      tls: 'none',
    });
    await acmeJson('accounts delete smtp2 --force');
    expect(await acmeJson('accounts add --host d.example')).toMatchObject({ id: 'smtp2' });
  });

  it('knows the older names of its flags', async () => {
    const flags = '--use-ssl --username old --hourly-limit 10 --daily-limit 20 --host old.example --id old';
    expect(await acmeJson(`accounts add ${flags}`, password)).toMatchObject({
      tls: 'ssl',
      port: 465,
      user: 'old',
      limit_per_hour: 10,
      limit_per_day: 20,
    });
    expect(await acmeJson('accounts add --use-tls --host old.example --id old2')).toMatchObject({
      tls: 'starttls',
      port: 587,
    });
  });

  it('answers what GET /account/{id} does, with every setting', async () => {
    const ca = e2e.file('ca.pem', (await testCertificates()).caPem);
    const added = await e2e.json([
      ...[
        'myserver',
        'acme',
        'accounts',
        'add',
        '--id',
        'full',
        '--host',
        'Full.Example',
        '--port',
        '2525',
        '--tls',
        'ssl',
      ],
      ...['--tls-ca', ca, '--no-tls-verify', '--limit-minute', '1', '--limit-hour', '2', '--limit-day', '3'],
      ...[
        '--limit-behavior',
        'reject',
        '--max-connections',
        '9',
        '--from-address',
        'app@example.com',
        '--default',
      ],
    ]);
    expect(added).toEqual(await viaHttp('full'));
    expect(added).toMatchObject({
      host: 'full.example',
      port: 2525,
      tls_verify: false,
      tls_ca: readFileSync(ca, 'utf8'),
      limit_per_minute: 1,
      limit_per_hour: 2,
      limit_per_day: 3,
      limit_behavior: 'reject',
      max_connections: 9,
      from_address: 'app@example.com',
      is_default: true,
    });
  });

  it('warns of plaintext, and of a server that is not verified', async () => {
    expect((await acme('accounts add --host p.example --tls none --id plain')).stderr).toMatch(
      /^Warning: .*unencrypted.*\n$/,
    );
    expect((await acme('accounts add --host v.example --no-tls-verify --id unverified')).stderr).toMatch(
      /^Warning: .*not verified.*\n$/,
    );
  });

  it('without a terminal a user without a password is a usage error', async () => {
    const { code, stdout, stderr } = await acme('accounts add --host h.example --user u');
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('MAIL_PROXY_SMTP_PASSWORD');
  });

  it('on a terminal asks for host and password and does not show the password', async () => {
    const { code, screen } = await runOnTerminal(
      ['myserver', 'typist', 'accounts', 'add', '--user', 'u'],
      { MAIL_PROXY_HOME: e2e.home },
      [
        ['SMTP host:', 'typed.example\r'],
        ['SMTP password:', 'typed-swordfish\r'],
      ],
    );
    expect(screen).toContain('Added account smtp1 (typed.example:587, starttls)');
    expect(code).toBe(0);
    expect(screen).not.toContain('swordfish');
  });
});

describe('accounts list and show', () => {
  it('--json is what the HTTP routes answer', async () => {
    const list = await callApi(url, admin, 'GET', '/accounts?tenant_id=acme');
    expect(await acmeJson('accounts list')).toEqual(list.json);
    expect(await acmeJson('accounts show smtp1')).toEqual(await viaHttp('smtp1'));
  });

  it('34: --csv neutralises cells that a spreadsheet would run', async () => {
    await e2e.json(
      [
        'myserver',
        'globex',
        'accounts',
        'add',
        '--host',
        'g.example',
        '--user',
        '@SUM(A1)',
        '--limit-hour',
        '5',
      ],
      password,
    );
    const { stdout } = await e2e.cli('myserver globex accounts list --csv');
    expect(stdout).toBe(
      "ID,HOST,PORT,TLS,USER,LIMITS,DEFAULT\r\nsmtp1,g.example,587,starttls,'@SUM(A1),5/h,yes\r\n",
    );
  });

  it('an account of another tenant is answered like one that does not exist', async () => {
    const [other, none] = [
      await e2e.cli('myserver globex accounts show old'),
      await e2e.cli('myserver globex accounts show new'),
    ];
    expect(other.code).toBe(3);
    expect(other.stderr.replace('old', 'new')).toBe(none.stderr);
  });
});

describe('accounts update', () => {
  it('changes what is named, keeps the rest and the password', async () => {
    const before = await viaHttp('old');
    const { updated_at: _at, ...updated } = await acmeJson(
      'accounts update old --limit-hour 0 --from-address new@example.com',
    );
    expect({ ...before, ...updated }).toEqual({ ...(await viaHttp('old')), updated_at: before.updated_at });
    expect(updated).toMatchObject({ limit_per_hour: null, limit_per_day: 20, has_password: true });
  });

  it('asks for the password again for each field that it is bound to', async () => {
    const ca = e2e.file('bound.pem', (await testCertificates()).caPem);
    const before = await viaHttp('smtp1');
    const changes = [
      '--host other.example',
      '--port 2587',
      '--tls ssl',
      '--use-ssl',
      '--user other',
      `--tls-ca ${ca}`,
      '--no-tls-verify',
    ];
    const answers = await Promise.all(
      changes.map((change) => acme(`accounts update smtp1 ${change} --json`)),
    );
    for (const [i, { code, stdout }] of answers.entries()) {
      const { code: why } = JSON.parse(stdout) as { code: string };
      expect({ change: changes[i], code, why }).toEqual({
        change: changes[i],
        code: 2,
        why: 'secret_required',
      });
    }
    expect(await viaHttp('smtp1')).toEqual(before);
  });

  it('changes them all when the password is sent again', async () => {
    const input = { input: 'swordfish\n' };
    expect(
      await acmeJson('accounts update smtp1 --host other.example --user other --password-stdin', input),
    ).toMatchObject({
      host: 'other.example',
      user: 'other',
      has_password: true,
    });
  });

  it('of an account without a user needs no password, whatever the environment holds', async () => {
    await acmeJson('accounts add --id open --host a.example --tls none');
    expect(await acmeJson('accounts update open --host b.example', password)).toMatchObject({
      host: 'b.example',
      has_password: false,
    });
    expect(await acme('accounts update nosuch --host b.example', password)).toMatchObject({ code: 3 });
  });

  it('without a user there is no password any more', async () => {
    const { code } = await acme(['accounts', 'update', 'old', '--user', '']);
    expect(code).toBe(0);
    expect(await viaHttp('old')).toMatchObject({ user: null, has_password: false });
  });
});

describe('accounts delete', () => {
  it('refuses without a terminal unless --force is given', async () => {
    expect(await acme('accounts delete old2')).toMatchObject({ code: 2, stdout: '' });
    expect(await viaHttp('old2')).toMatchObject({ id: 'old2' });
  });

  it('on a terminal is refused while unsent messages wait for it; with --force they end in error', async () => {
    const eml = e2e.file('waiting.eml', 'From: a@example.com\nTo: b@example.net\nSubject: x\n\nx\n');
    await acmeJson(`send ${eml} --id waiting --account old2`);
    const environment = { MAIL_PROXY_HOME: e2e.home };
    const refused = await runOnTerminal(['myserver', 'acme', 'accounts', 'delete', 'old2'], environment, [
      ['Delete account old2', 'y\r'],
    ]);
    expect(refused.code).toBe(1);
    expect(refused.screen).toContain('1 unsent message(s) wait for the account "old2"');
    const over = await callApi(url, admin, 'DELETE', '/account/old2?tenant_id=acme');
    expect(over).toMatchObject({ status: 409, json: { code: 'account_in_use' } });

    expect(await acmeJson('accounts delete old2 --force')).toEqual({ ok: true });
    expect(await acmeJson('messages show waiting')).toMatchObject({ status: 'error' });
    expect((await callApi(url, admin, 'GET', '/account/old2?tenant_id=acme')).status).toBe(404);
  });
});

it('run-now says when sending is switched off, and a file that is sent takes the default priority', async () => {
  const told = await acme('run-now', { env: { GMP_API_TOKEN: admin } });
  expect(told).toMatchObject({ code: 0, stderr: expect.stringContaining('switched off') });
  const eml = e2e.file('urgent.eml', 'From: a@example.com\nTo: b@example.net\nSubject: x\n\nx\n');
  const env = { GMP_DEFAULT_PRIORITY: 'high' };
  await acmeJson(`send ${eml} --id urgent --account plain`, { env });
  expect(await acmeJson('messages show urgent')).toMatchObject({ priority: 1 });
});

it('a server directory that others can enter is refused', async () => {
  const directory = join(e2e.home, 'myserver');
  chmodSync(directory, 0o755);
  try {
    expect(await acme('accounts list')).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('chmod 700'),
    });
  } finally {
    chmodSync(directory, 0o700);
  }
});

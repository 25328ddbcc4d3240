import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';

const e2e = openE2eHome();
const key = randomBytes(32).toString('base64');
const withKey = { MAIL_PROXY_ENCRYPTION_KEY: key };
const EML = 'From: app@example.com\nTo: someone@example.net\nSubject: x\n\nHello\n';
let url = '';
let admin = '';
let before: Record<string, number> = {};
afterAll(() => e2e.close());
beforeAll(async () => {
  const started = await e2e.start('myserver', { env: { ...withKey, GMP_SCHEDULER_ACTIVE: 'false' } });
  url = started.url;
  admin = started.token;
  for (const tenant of ['acme', 'bare']) await callApi(url, admin, 'POST', '/tenant', { tenant_id: tenant });
  const account = { id: 'smtp1', tenant_id: 'acme', host: 'smtp.example', user: 'u', password: 'swordfish' };
  expect((await callApi(url, admin, 'POST', '/account', account)).status).toBe(200);
  e2e.file('good.eml', EML);
  before = e2e.counts('myserver');
});

/** One sentence on stderr, the envelope on stdout, and the exit code; nothing else. */
async function expectRefusal(
  args: string[],
  code: string,
  exit: number,
  options: Parameters<typeof e2e.cli>[1] = {},
) {
  const result = await e2e.cli([...args, '--json'], { ...options, env: { ...withKey, ...options.env } });
  const { error, ...envelope } = JSON.parse(result.stdout) as { error: string; issues?: unknown };
  expect({ args, exit: result.code, ...envelope }).toMatchObject({ args, exit, ok: false, code });
  expect(result.stderr).toMatch(/^Error: [^\n]{10,300}\n$/);
  expect(error).toMatch(/[.?]$/);
  expect(`${result.stderr}${result.stdout}`).not.toMatch(/\n\s+at |node_modules|\.[jt]s:\d/);
}

const tenant = (line: string, ...more: string[]): string[] => [
  'myserver',
  'acme',
  ...line.split(' '),
  ...more,
];
const add = (...more: string[]): string[] => tenant('accounts add --host smtp.example', ...more);
const send = (...more: string[]): string[] => tenant('send -', ...more);

describe.concurrent('22: the command line refuses at once', () => {
  it.each<[what: string, args: string[], code: string, exit: number]>([
    [
      'a host with a line break',
      tenant('accounts add --host', 'smtp.example\r\nQUIT'),
      'validation_failed',
      2,
    ],
    ['a disguised address as host', tenant('accounts add --host 0x7f.1'), 'validation_failed', 2],
    ['port 65536', add('--port', '65536'), 'usage', 2],
    ['a port that is a word', add('--port', 'smtp'), 'usage', 2],
    ['an unknown TLS mode', add('--tls', 'maybe'), 'usage', 2],
    ['a user with a line break', add('--user', 'a\nb', '--password-stdin'), 'validation_failed', 2],
    ['a sender that is no address', add('--from-address', 'nobody'), 'validation_failed', 2],
    ['an account id with a line break', add('--id', 'a\nb'), 'validation_failed', 2],
    ['an account id that is too long', add('--id', 'a'.repeat(65)), 'validation_failed', 2],
    ['certificates that are none', add('--tls-ca', import.meta.filename), 'validation_failed', 2],
    ['a password file that is a directory', add('--user', 'u', '--password-file', '/'), 'file_unreadable', 1],
    ['an unknown flag', add('--hots', 'x'), 'usage', 2],
    ['a misspelt command', tenant('accounts shwo smtp1'), 'unknown_command', 127],
    ['an unknown account', tenant('accounts update nosuch --limit-hour 1'), 'account_not_found', 3],
    ['an unknown message', tenant('messages show nosuch'), 'message_not_found', 3],
    ['an unknown tenant', ['myserver', 'nosuch', 'accounts', 'list'], 'tenant_not_found', 3],
    ['an unknown server', ['nosuch', 'acme', 'accounts', 'list'], 'server_not_found', 3],
    ['a server name that leads elsewhere', ['accounts', 'list', '-s', '../x', '-t', 'acme'], 'usage', 2],
    ['a tenant id with a line break', ['myserver', 'tenants', 'add', 'a\r\nb'], 'validation_failed', 2],
    [
      'a tenant name with a line break',
      ['myserver', 'tenants', 'add', 'new', '--name', 'a\nb'],
      'validation_failed',
      2,
    ],
    [
      'an endpoint that is no URL',
      ['myserver', 'tenants', 'add', 'new', '--base-url', 'ftp://x'],
      'validation_failed',
      2,
    ],
    ['a cursor of one’s own', tenant('messages list --cursor abc'), 'usage', 2],
    ['a second daemon', ['start', 'myserver'], 'daemon_running', 1],
    ['to delete what runs', ['delete', 'myserver', '--force'], 'daemon_running', 1],
  ])('%s', (_what, args, code, exit) => expectRefusal(args, code, exit, { input: 'swordfish' }));

  it.each<[what: string, args: string[], input: string | Buffer, code: string, exit: number]>([
    ['a recipient that is no address', send('--to', 'nobody'), EML, 'validation_failed', 2],
    [
      '25: a line break in a recipient',
      send('--to', 'a@b.example>\r\nRCPT TO:<c@d.example'),
      EML,
      'validation_failed',
      2,
    ],
    [
      '26: a recipient in quotes that names two domains',
      send('--to', '"a@evil.example x"@ok.example'),
      EML,
      'validation_failed',
      2,
    ],
    ['a message id with a line break', send('--id', 'a\nb'), EML, 'validation_failed', 2],
    ['a message id that is too long', send('--id', 'a'.repeat(256)), EML, 'validation_failed', 2],
    ['priority 99', send('--priority', '99'), EML, 'usage', 2],
    ['an unknown account', send('--account', 'nosuch'), EML, 'account_not_found', 3],
    ['a tenant without an account', ['myserver', 'bare', 'send', '-'], EML, 'account_not_found', 3],
    ['an unknown tenant', ['myserver', 'nosuch', 'send', '-'], EML, 'tenant_not_found', 3],
    ['no recipient', send(), 'From: a@example.com\nSubject: x\n\nx\n', 'validation_failed', 2],
    ['no sender', send(), 'To: a@example.com\nSubject: x\n\nx\n', 'validation_failed', 2],
    ['a NUL octet', send(), `${EML}\0`, 'validation_failed', 2],
    ['a file that is no message', send(), '\u007fELF\u0002\u0001 not a header', 'validation_failed', 2],
    ['nothing at all', send(), '', 'validation_failed', 2],
  ])('send: %s', (_what, args, input, code, exit) =>
    expectRefusal(args, code, exit, { input: String(input) }),
  );

  it.each([
    ['a file that is not there', '/nosuch.eml', 'file_unreadable', 1],
    ['a directory', '/', 'file_unreadable', 1],
    ['a program', process.execPath, 'body_too_large', 2],
  ])('send: %s', (_what, file, code, exit) => expectRefusal(tenant('send', file), code, exit));

  it.each([
    ['a malformed key', 'not base64!', 'key_invalid'],
    ['a key that is too short', randomBytes(31).toString('base64'), 'key_invalid'],
    ['an empty key', '', 'key_invalid'],
    ['another key', randomBytes(32).toString('base64'), 'key_missing'],
  ])('9: %s', (_what, wrong, code) =>
    expectRefusal(add('--user', 'u', '--password-stdin'), code, 4, {
      input: 'x',
      env: { MAIL_PROXY_ENCRYPTION_KEY: wrong },
    }),
  );

  it('without --json nothing is printed on stdout', async () => {
    expect(await e2e.cli(tenant('accounts show nosuch'))).toMatchObject({ code: 3, stdout: '' });
  });
});

describe.concurrent('22: the API refuses at once', () => {
  const account = { id: 'new', tenant_id: 'acme', host: 'smtp.example' };
  const toAcme = '?tenant_id=acme';
  it.each<[what: string, method: string, path: string, body: unknown, status: number, code: string]>([
    ['broken JSON', 'POST', '/account', '{"id": "x"', 400, 'invalid_json'],
    ['deep nesting', 'POST', '/account', '['.repeat(100_000), 400, 'invalid_json'],
    ['a list in place of an object', 'POST', '/account', [], 422, 'validation_failed'],
    ['a field that is not known', 'POST', '/account', { ...account, hots: 'x' }, 422, 'validation_failed'],
    ['a field that is not built', 'POST', '/account', { ...account, imap_host: 'x' }, 422, 'not_supported'],
    ['a port that is text', 'POST', '/account', { ...account, port: '25' }, 422, 'validation_failed'],
    ['port 0', 'POST', '/account', { ...account, port: 0 }, 422, 'validation_failed'],
    [
      '25: a line break in a host',
      'POST',
      '/account',
      { ...account, host: 'a\r\nb' },
      422,
      'validation_failed',
    ],
    ['25: a line break in an id', 'POST', '/account', { ...account, id: 'a\nb' }, 422, 'validation_failed'],
    [
      'an id that is too long',
      'POST',
      '/account',
      { ...account, id: 'a'.repeat(65) },
      422,
      'validation_failed',
    ],
    ['a user without a password', 'POST', '/account', { ...account, user: 'u' }, 422, 'secret_required'],
    [
      'an account of an unknown tenant',
      'POST',
      '/account',
      { ...account, tenant_id: 'nosuch' },
      404,
      'tenant_not_found',
    ],
    ['an unknown account', 'GET', `/account/nosuch${toAcme}`, undefined, 404, 'account_not_found'],
    ['an unknown message', 'GET', `/messages/nosuch${toAcme}`, undefined, 404, 'message_not_found'],
    ['an unknown status', 'GET', '/messages?status=lost', undefined, 422, 'validation_failed'],
    ['a cursor of one’s own', 'GET', '/messages?cursor=abc', undefined, 422, 'validation_failed'],
    ['a limit that is a word', 'GET', '/messages?limit=all', undefined, 422, 'validation_failed'],
    ['an unknown route', 'GET', '/nosuch', undefined, 404, 'route_not_found'],
    ['a wrong method', 'PATCH', '/account', undefined, 405, 'method_not_allowed'],
    [
      'a tenant id that is too long',
      'POST',
      '/tenant',
      { tenant_id: 'a'.repeat(65) },
      422,
      'validation_failed',
    ],
    [
      'a tenant name with a line break',
      'POST',
      '/tenant',
      { tenant_id: 'new', name: 'a\nb' },
      422,
      'validation_failed',
    ],
    ['no messages', 'POST', '/commands/add-messages', { messages: [] }, 422, 'validation_failed'],
    ['messages that are none', 'POST', '/commands/add-messages', { messages: 'x' }, 422, 'validation_failed'],
    [
      'default priority 99',
      'POST',
      '/commands/add-messages',
      { messages: [{}], default_priority: 99 },
      422,
      'validation_failed',
    ],
    ['20 MB', 'POST', '/commands/add-messages', `"${'x'.repeat(20_000_000)}"`, 413, 'body_too_large'],
  ])('%s', async (_what, method, path, body, status, code) => {
    const answer = await callApi(url, admin, method, path, body);
    expect(answer).toMatchObject({
      status,
      json: { ok: false, code, error: expect.stringMatching(/^[^\n]+[.?]$/) },
    });
  });

  it('a body that is not JSON by its type', async () => {
    const response = await fetch(`${url}/account`, {
      method: 'POST',
      headers: { 'X-API-Token': admin },
      body: 'id=x',
    });
    expect(response.status).toBe(415);
  });

  it('names each bad message of a batch and why', async () => {
    const good = {
      id: 'ok',
      tenant_id: 'acme',
      from: 'a@example.com',
      to: 'b@example.net',
      subject: 'x',
      body: 'x',
    };
    const bad: Array<[change: Record<string, unknown>, code: string]> = [
      [{ to: 'nobody' }, 'validation_failed'],
      [{ to: [] }, 'validation_failed'],
      [{ to: 'a@b.example\r\nBcc: c@d.example' }, 'validation_failed'],
      [{ from: 'a@b@c' }, 'validation_failed'],
      [{ subject: 'a\r\nBcc: c@d.example' }, 'validation_failed'],
      [{ headers: { 'X-A\r\nBcc': 'x' } }, 'validation_failed'],
      [{ headers: { 'X-A': 'x\r\nBcc: c@d.example' } }, 'validation_failed'],
      [{ headers: 'x' }, 'validation_failed'],
      [{ priority: 99 }, 'validation_failed'],
      [{ id: 'a\nb' }, 'validation_failed'],
      [{ id: 'a'.repeat(256) }, 'validation_failed'],
      [{ deferred_ts: 'tomorrow' }, 'validation_failed'],
      [{ account_id: 'nosuch' }, 'unknown_account'],
      [{ tenant_id: 'bare' }, 'no_account'],
      [{ tenant_id: 'nosuch' }, 'tenant_not_found'],
      [{ attachments: [{ filename: 'passwd', storage_path: '/etc/passwd' }] }, 'not_supported'],
      [{ attachments: [{ filename: 'x', path: '/etc/passwd' }] }, 'validation_failed'],
      [{ raw: 'QQ==' }, 'validation_failed'],
    ];
    for (const [change, code] of bad) {
      const { status, json } = await callApi(url, admin, 'POST', '/commands/add-messages', {
        messages: [{ ...good, ...change }],
      });
      expect({ change, status, ...json }).toMatchObject({
        change,
        status: 200,
        queued: 0,
        rejected: [{ code, reason: expect.stringMatching(/^[^\r\n]+$/) }],
      });
    }
  });
});

it('nothing of all this was stored', () => {
  expect(e2e.counts('myserver')).toEqual(before);
});

describe('9: a daemon does not start', () => {
  beforeAll(async () => {
    await e2e.json('stop myserver');
  });

  it.each([
    ['with a malformed key', { MAIL_PROXY_ENCRYPTION_KEY: 'garbage' }, 'key_invalid', 4],
    [
      'with another key than its secrets need',
      { MAIL_PROXY_ENCRYPTION_KEY: randomBytes(32).toString('base64') },
      'key_missing',
      4,
    ],
    ['with a port that is none', { GMP_PORT: '99999' }, 'usage', 2],
    ['with an unknown log level', { GMP_LOG_LEVEL: 'loud' }, 'usage', 2],
  ])('%s', async (_what, env, code, exit) => {
    await expectRefusal(['start', 'myserver'], code, exit, { env: env as unknown as Record<string, string> });
    expect(e2e.counts('myserver')).toEqual(before);
  });
});

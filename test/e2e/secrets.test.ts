import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Canary, canaryOf, findCanaries, makeCanary } from '../support/canaries.js';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { freePort, processesNaming, processTexts, until } from '../support/processes.js';
import { dialogue, type RawServer, startRawServer } from '../support/raw-server.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

/** Everything that is secret here, by what it is for. */
const key = randomBytes(32);
const newKeys = {
  file: randomBytes(32),
  stdin: randomBytes(32),
  env: randomBytes(32),
  added: randomBytes(32),
};
const secrets = {
  admin: makeCanary('admin token'),
  tenant: makeCanary('tenant token'),
  stdin: makeCanary('SMTP password by stdin'),
  file: makeCanary('SMTP password by file'),
  env: makeCanary('SMTP password by environment'),
  refused: makeCanary('SMTP password that is refused'),
  echoed: makeCanary('SMTP password that a server repeats'),
  bearer: makeCanary('bearer callback secret'),
  basic: makeCanary('basic callback secret'),
  key: canaryOf('encryption key', key.toString('base64'), key),
  keyText: canaryOf('encryption key as text', key.toString('base64')),
  newKeyFile: canaryOf('new key by file', newKeys.file.toString('base64'), newKeys.file),
  newKeyStdin: canaryOf('new key by stdin', newKeys.stdin.toString('base64'), newKeys.stdin),
  newKeyEnv: canaryOf('new key by environment', newKeys.env.toString('base64'), newKeys.env),
  addedKey: canaryOf('key that was added', newKeys.added.toString('base64'), newKeys.added),
  rotated: makeCanary('SMTP password that a rotation encrypts anew'),
  wrongToken: makeCanary('token that is not valid'),
  inBody: makeCanary('secret in a bad request'),
};
/** Typed on a command line by mistake: others can see that, but nothing repeats it. */
const typed = makeCanary('password on a command line');
/** Nothing secret: shows that the search finds what is there. */
const marker = canaryOf('marker', `marker${randomBytes(8).toString('hex')}`);
const canaries: Canary[] = Object.values(secrets);

const e2e = openE2eHome();
const outputs: Array<{ call: string; text: string }> = [];
const used = new Set<string>();
/** What `/proc` said of every process that ran in this home, sampled while it ran. */
const processes = new Map<string, { command: string; environment: string }>();
const daemons: number[] = [];
const smtp: SmtpTestServer[] = [];
let echo: RawServer;
let watch: NodeJS.Timeout;
let url = '';

/** What the environment of a call holds because this test put it there; a daemon gets none of it. */
const given = {
  MAIL_PROXY_ENCRYPTION_KEY: secrets.key.secret,
  GMP_API_TOKEN: secrets.admin.secret,
  MAIL_PROXY_SMTP_PASSWORD: secrets.env.secret,
  MAIL_PROXY_NEW_ENCRYPTION_KEY: secrets.newKeyEnv.secret,
};

async function run(line: string, input = '', ...more: string[]): Promise<string> {
  const args = [...line.split(' '), ...more];
  const env: Record<string, string> = { GMP_LOG_LEVEL: 'debug', ...given };
  if (!line.includes('byenv')) delete env.MAIL_PROXY_SMTP_PASSWORD;
  if (!line.includes('rotate-key') || more.length > 0) delete env.MAIL_PROXY_NEW_ENCRYPTION_KEY;
  // This one has a key in its own directory, which can be rotated, and a token that was generated.
  if (line.includes('filekey')) {
    delete env.MAIL_PROXY_ENCRYPTION_KEY;
    delete env.GMP_API_TOKEN;
  }
  const { stdout, stderr } = await e2e.cli(args, { env, input });
  used.add(args.filter((word) => /^[a-z-]+$/.test(word)).join(' '));
  outputs.push({ call: line, text: `${stdout}${stderr}` });
  return stdout;
}

/** Runs a call that shows a secret once: that one place is left out of what is searched, everything else is not. */
async function showing(name: string, field: string, line: string): Promise<Record<string, string>> {
  const shown = JSON.parse(await run(line)) as Record<string, string>;
  const { [field]: secret = '' } = shown;
  canaries.push(canaryOf(name, secret));
  const last = outputs.findLastIndex(({ call }) => call === line);
  const { text = '' } = outputs[last] ?? {};
  outputs[last] = { call: line, text: text.replace(secret, '') };
  return shown;
}

const secretFile = (canary: Canary): string =>
  e2e.file(canary.name.replaceAll(' ', '-'), `${canary.secret}\n`);

function sampleProcesses(): void {
  for (const pid of processesNaming(`MAIL_PROXY_HOME=${e2e.home}`)) {
    const texts = processTexts(pid);
    processes.set(`${pid} ${texts.command}`, texts);
  }
}

async function startSmtp(): Promise<void> {
  for (const { secret } of [secrets.stdin, secrets.file, secrets.env]) {
    smtp.push(await startSmtpServer({ tls: 'starttls', auth: { user: 'u', password: secret } }));
  }
  smtp.push(await startSmtpServer({ tls: 'starttls', auth: { user: 'u', password: 'another' } }));
  echo = await startRawServer(
    dialogue({
      EHLO: (client) => client.write('250-raw\r\n250 AUTH PLAIN\r\n'),
      AUTH: (client, line) => client.write(`535 5.7.8 not understood: ${line}\r\n`),
    }),
  );
}

async function startDaemon(command: 'start' | 'restart'): Promise<void> {
  const { pid, url: at } = JSON.parse(
    await run(`${command} myserver --json${command === 'start' ? ` --port ${await freePort()}` : ''}`),
  ) as { pid: number; url: string };
  daemons.push(pid);
  url = at;
  sampleProcesses();
}

async function addTenants(): Promise<void> {
  const callback = '--base-url https://callback.example --auth-method';
  await Promise.all([
    run(
      `myserver tenants add acme ${callback} bearer --auth-secret-file`,
      '',
      secretFile(secrets.bearer),
      '--token-file',
      secretFile(secrets.tenant),
    ),
    run(
      `myserver tenants add globex ${callback} basic --auth-user u --auth-secret-stdin`,
      secrets.basic.secret,
    ),
  ]);
  const shown = JSON.parse(await run('myserver tenants add generated --json')) as Record<string, string>;
  canaries.push(
    canaryOf('generated token', shown.api_key ?? ''),
    canaryOf('generated webhook secret', shown.webhook_secret ?? ''),
  );
  // The one place where they are shown.
  const last = outputs.pop();
  outputs.push({
    call: 'tenants add',
    text: (last?.text ?? '').replace(shown.api_key ?? '', '').replace(shown.webhook_secret ?? '', ''),
  });
}

async function addAccounts(): Promise<void> {
  const ca = e2e.file('ca.pem', smtp[0]?.caPem ?? '');
  const add = (id: string, port: number | undefined, input: string, ...more: string[]) =>
    run(`myserver acme accounts add --id ${id} --host 127.0.0.1 --user u --port ${port}`, input, ...more);
  await Promise.all([
    add('bystdin', smtp[0]?.port, secrets.stdin.secret, '--tls-ca', ca, '--password-stdin'),
    add('byfile', smtp[1]?.port, '', '--tls-ca', ca, '--password-file', secretFile(secrets.file)),
    add('byenv', smtp[2]?.port, '', '--tls-ca', ca),
    add('refused', smtp[3]?.port, secrets.refused.secret, '--tls-ca', ca, '--password-stdin'),
    add('echoed', echo.port, secrets.echoed.secret, '--tls', 'none', '--password-stdin'),
  ]);
}

/** Mail through every account, also those that are refused. */
async function deliver(): Promise<void> {
  const eml = `From: a@example.com\nTo: b@example.net\nSubject: ${marker.secret}\n\nx\n`;
  const accounts = ['bystdin', 'byfile', 'byenv', 'refused', 'echoed'];
  await Promise.all(accounts.map((id) => run(`myserver acme send - --id by-${id} --account ${id}`, eml)));
  const message = {
    id: 'by-http',
    account_id: 'bystdin',
    from: 'a@example.com',
    to: 'c@example.net',
    subject: 'x',
    body: 'x',
  };
  await callApi(url, secrets.tenant.secret, 'POST', '/commands/add-messages', { messages: [message] });
  for (const server of smtp.slice(0, 3)) await server.waitFor(1);
  await until(
    () => (smtp[3]?.seen.auth.length ?? 0) > 0 && echo.lines.some((line) => line.startsWith('AUTH')),
    'both refusals',
  );
}

/** Requests that are refused, with a secret in each. */
async function badRequests(): Promise<void> {
  const { secret } = secrets.inBody;
  const admin = secrets.admin.secret;
  await callApi(url, secrets.wrongToken.secret, 'GET', '/messages');
  await callApi(url, admin, 'POST', '/account', `{"password": ${JSON.stringify(secret)}`);
  const account = { id: 'x', tenant_id: 'acme', host: 'x', user: 'u', password: secret };
  await callApi(url, admin, 'POST', '/account', { ...account, pasword: secret });
  await callApi(url, admin, 'POST', '/account', { ...account, host: 'a\r\nb' });
  await callApi(url, admin, 'POST', '/account', { ...account, password: [secret] });
  await callApi(url, admin, 'POST', '/account', { ...account, password: `${secret}\n` });
  await callApi(url, admin, 'POST', '/account', { ...account, tenant_id: 'nosuch' });
  await callApi(url, admin, 'POST', '/tenant', {
    tenant_id: 'x',
    token: [secret],
    webhook_secret: { secret },
  });
  await callApi(url, admin, 'POST', '/tenant', {
    tenant_id: 'x',
    client_auth: { method: 'basic', password: secret },
  });
  await callApi(url, admin, 'POST', '/tenant', { tenant_id: 'x', token: secrets.tenant.secret });
  await callApi(
    url,
    admin,
    'GET',
    `/nosuch/${encodeURIComponent(secret)}?token=${encodeURIComponent(secret)}`,
  );
}

/** Asks the API; the answer is searched like what a command prints. */
async function ask(at: string, token: string, method: string, path: string, body?: object): Promise<string> {
  const response = await fetch(`${at}${path}`, {
    method,
    headers: { 'X-API-Token': token, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  outputs.push({ call: `${method} ${path}`, text });
  return text;
}

const AUDIT_ROUTES = [
  'GET /command-log?limit=1000',
  'GET /command-log/export',
  'POST /command-log/verify',
  'GET /keys',
  'POST /keys/verify',
  'POST /keys/reencrypt',
  'GET /tenant/acme/tokens',
] as const;

/** Tokens made in every way, keys listed, verified, added and retired, and the whole audit trail. */
async function tokensKeysAndAudit(): Promise<void> {
  const admin = secrets.admin.secret;
  await showing('token by command', 'token', 'myserver acme tokens create shop --expires 90d --json');
  for (const [path, field] of [
    ['/tenant/acme/tokens', 'token'],
    ['/tenant/globex/api-key', 'api_key'],
  ] as const) {
    const { json } = await callApi(url, admin, 'POST', path, field === 'token' ? { name: 'api' } : {});
    canaries.push(canaryOf(`token by ${path}`, String(json[field])));
    expect((await callApi(url, String(json[field]), 'GET', '/messages')).status).toBe(200);
  }
  const added = await run('myserver keys add --json', '', e2e.file('added-key', newKeys.added));
  await Promise.all([
    ...[
      'acme tokens list --json',
      'acme tokens revoke shop',
      'tenants suspend globex',
      'token rotate',
      'keys list --json',
      'keys verify',
      'rotate-key',
      `keys retire ${(JSON.parse(added) as { key_id: string }).key_id}`,
    ].map((line) => run(`myserver ${line}`)),
    run('rotate-key myserver --new-key-stdin', `${secrets.newKeyStdin.secret}\n`, '--json'),
    run('rotate-key myserver --new-key-file', '', e2e.file('new-key', newKeys.file)),
    run('rotate-key myserver --new-key-stdin', `${secrets.newKeyStdin.secret} `.repeat(2), '--json'),
    run('myserver keys add', '', secretFile(secrets.newKeyFile), '--nosuch'),
    run('tenants update -s myserver --auth-secret-stdin', secrets.bearer.secret),
    run('rotate-key --new-key-stdin --json', secrets.newKeyStdin.secret),
  ]);
  await run('myserver tenants activate globex');
  await Promise.all(
    ['list --json', 'list --csv', 'export', 'verify --json'].map((line) => run(`myserver audit ${line}`)),
  );
  await run('myserver audit restart --force');
  for (const route of AUDIT_ROUTES) {
    const [method = '', path = ''] = route.split(' ');
    await ask(url, admin, method, path);
  }
}

/** A key in the server's own directory is rotated, the new one given in each way, and the admin token too. */
async function rotations(): Promise<void> {
  const { url: at = '', admin_token: first = '' } = await showing(
    'generated admin token',
    'admin_token',
    `start filekey --json --port ${await freePort()}`,
  );
  await callApi(at, first, 'POST', '/tenant', { tenant_id: 'acme' });
  const account = {
    id: 'smtp1',
    tenant_id: 'acme',
    host: 'smtp.example.com',
    user: 'u',
    password: secrets.rotated.secret,
  };
  await callApi(at, first, 'POST', '/account', account);
  await run('rotate-key filekey --new-key-file', '', e2e.file('new-key', newKeys.file));
  await run('rotate-key filekey', `${secrets.newKeyStdin.secret}\n`, '--new-key-stdin', '--json');
  await run('rotate-key filekey');
  const { admin_token: token = '' } = await showing(
    'rotated admin token',
    'admin_token',
    'filekey token rotate --json',
  );
  await Promise.all(
    ['keys list', 'keys verify', 'audit list', 'audit export'].map((line) => run(`filekey ${line}`)),
  );
  for (const route of AUDIT_ROUTES) {
    const [method = '', path = ''] = route.split(' ');
    await ask(at, token, method, path);
  }
}

/** Every other command, and failing calls that were given a secret. */
async function everythingElse(): Promise<void> {
  const tests = ['bystdin', 'byfile', 'refused', 'echoed'].map((id) =>
    run(`myserver acme accounts test ${id}`),
  );
  await Promise.all(tests);
  await Promise.all([
    run('myserver acme accounts update bystdin --limit-hour 100 --password-stdin', secrets.stdin.secret),
    run(
      'myserver tenants update globex --name Globex --auth-method basic --auth-user u --auth-secret-stdin',
      secrets.basic.secret,
    ),
    ...[
      'accounts list --json',
      'accounts list --csv',
      'accounts show byfile --json',
      'messages list',
      'messages list --json',
      'messages explain by-refused',
      'messages retry by-refused',
      'messages resolve by-refused --sent',
      'messages delete by-nobody --force',
      'suspend --batch none',
      'activate --batch none',
    ].map((line) => run(`myserver acme ${line}`)),
    ...['by-refused', 'by-echoed'].map((id) => run(`myserver acme messages show ${id}`)),
    ...['tenants list --json', 'tenants show acme --json', 'tenants show globex', 'status --json'].map(
      (line) => run(`myserver ${line}`),
    ),
    ...[
      'myserver acme run-now',
      'list --json',
      'version --json',
      'keygen',
      'help',
      'use myserver acme',
      'start myserver',
    ].map((line) => run(line)),
    run('serve myserver'),
    // Outside the server's directory, which is deleted below: it is searched like every file of the home.
    run(`myserver backup ${e2e.home}/backup.db`),
    run(`myserver restore ${e2e.home}/backup.db --force`),
    // What fails with a secret in its hands.
    run('myserver nosuch accounts add --host h --user u --password-stdin', secrets.stdin.secret),
    run(
      'myserver acme accounts add --host a..b --user u --json --password-file',
      '',
      secretFile(secrets.file),
    ),
    run('myserver acme accounts add --host h --user u --password-stdin', `${secrets.stdin.secret}\nmore`),
    run('myserver tenants add thief --token-file', '', secretFile(secrets.tenant)),
    run('myserver tenants add thief --token-file', '', secretFile(secrets.admin)),
    run('myserver tenants update acme --auth-secret-file', '', secretFile(secrets.bearer)),
    run('myserver acme accounts show', '', 'smtp1', typed.secret),
    run('myserver acme accounts add --host a..b --user u --password', '', typed.secret),
    run(
      'myserver acme accounts add --host h --user u --password',
      '',
      typed.secret,
      '--nosuch',
      typed.secret,
    ),
  ]);
  await Promise.all([
    run('current --json'),
    run('myserver acme accounts delete byfile --force'),
    run('myserver tenants delete generated --force'),
  ]);
  await run('delete myserver --force');
  await run('demo');
}

afterAll(() => e2e.close());
afterAll(async () => {
  clearInterval(watch);
  await Promise.all([...smtp, echo].map((server) => server?.close()));
});
beforeAll(async () => {
  await startSmtp();
  watch = setInterval(sampleProcesses, 100);
  await startDaemon('start');
  await addTenants();
  await addAccounts();
  await deliver();
  await badRequests();
  await Promise.all([tokensKeysAndAudit(), rotations()]);
  await everythingElse();
  await startDaemon('restart');
}, 240_000);

describe('the search', () => {
  it('finds each form where it is', () => {
    const { secret } = secrets.stdin;
    const forms = [
      secret,
      Buffer.from(`\0u\0${secret}`).toString('base64'),
      Buffer.from(secret).toString('hex'),
      encodeURIComponent(secret),
      JSON.stringify(secret),
    ];
    for (const form of forms) expect(findCanaries(`… ${form} …`, [secrets.stdin])).toHaveLength(1);
    expect(findCanaries('nothing', canaries)).toEqual([]);
  });

  it('finds each secret where it belongs', async () => {
    expect(smtp.slice(0, 3).map(({ messages }) => messages[0]?.user)).toEqual(['u', 'u', 'u']);
    expect(findCanaries(echo.lines.join('\n'), canaries)).toEqual([
      'SMTP password that a server repeats (base64)',
    ]);
    for (const canary of [secrets.admin, secrets.tenant]) {
      expect((await callApi(url, canary.secret, 'GET', '/messages')).status).toBe(200);
    }
    const seen = [...processes.values()].flatMap(({ environment }) => findCanaries(environment, canaries));
    expect(seen).toContain('admin token (plain)');
    expect(seen).toContain('SMTP password by environment (plain)');
  });

  it('finds each new key in its own file, and in no other', () => {
    const files = readdirSync(join(e2e.home, 'filekey', 'keys'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => readFileSync(join(parentPath, name)));
    const found = files.flatMap((bytes) => findCanaries(bytes, canaries));
    expect(found.sort()).toEqual([
      'new key by environment (plain)',
      'new key by file (plain)',
      'new key by stdin (plain)',
    ]);
  });

  it('finds what is no secret in the database, the log and a command line', async () => {
    const { stdout } = await dump();
    expect(findCanaries(stdout, [marker])).toEqual(
      expect.arrayContaining(['marker (plain)', 'marker (hex)']),
    );
    expect(readFileSync(join(e2e.home, 'myserver', 'daemon.log'), 'utf8')).toMatch(/DEBUG[\s\S]*bystdin/);
    expect([...processes.values()].some(({ command }) => command.includes('bystdin'))).toBe(true);
  });

  it('went through every command that there is', () => {
    const manifest = JSON.parse(
      readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'),
    ) as { commands: object };
    const missing = Object.keys(manifest.commands)
      .map((id) => id.replaceAll(':', ' '))
      .filter(
        (command) => command !== 'stop' && ![...used].some((call) => ` ${call} `.includes(` ${command} `)),
      );
    expect(missing).toEqual([]);
  });
});

const dump = () =>
  promisify(execFile)('sqlite3', [join(e2e.home, 'myserver', 'mail_service.db'), '.dump'], {
    maxBuffer: 1e8,
  });
const all = (): Canary[] => [...canaries, typed];

describe('11: no secret is found', () => {
  it('in a dump of the database', async () => {
    expect(findCanaries((await dump()).stdout, all())).toEqual([]);
  });

  it('in any file below the home: database, write-ahead log, log, run state', () => {
    const files = readdirSync(e2e.home, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    expect(files.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['mail_service.db-wal', 'backup.db']),
    );
    for (const { parentPath, name } of files) {
      // A key's own file is where it belongs.
      if (name.endsWith('.key')) continue;
      expect([name, findCanaries(readFileSync(join(parentPath, name)), all())]).toEqual([name, []]);
    }
  });

  it('in what any command printed', () => {
    for (const { call, text } of outputs) expect([call, findCanaries(text, all())]).toEqual([call, []]);
  });

  it('in the command line or the environment of a daemon', () => {
    expect(daemons).toHaveLength(2);
    for (const pid of daemons) {
      const [, texts] =
        [...processes].find(([name]) => name.startsWith(`${pid} `) && name.includes('--spawned')) ?? [];
      expect(texts?.environment).toContain(e2e.home);
      expect(findCanaries(`${texts?.command}${texts?.environment}`, all())).toEqual([]);
    }
  });

  it('in those of any other process, beyond what this test gave it', () => {
    expect(processes.size).toBeGreaterThan(10);
    const own = Object.entries(given).map(([name, value]) => `${name}=${value}`);
    for (const { command, environment } of processes.values()) {
      const rest = environment.split('\0').filter((entry) => !own.includes(entry));
      expect([command, findCanaries(`${command}\n${rest.join('\n')}`, canaries)]).toEqual([command, []]);
    }
  });
});

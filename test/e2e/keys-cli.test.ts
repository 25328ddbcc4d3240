import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { until } from '../support/processes.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';
import { openRaw, readAllRows } from '../support/tenant-rows.js';

const e2e = openE2eHome();
const smtp: SmtpTestServer[] = [];
afterAll(() => e2e.close());
afterAll(() => Promise.all(smtp.map((server) => server.close())));

interface KeyRow {
  id: string;
  source: string | null;
  primary: boolean;
  secrets: number;
  retired_at: string | null;
}

const base64 = (key: Buffer) => key.toString('base64');
const PASSWORD = 'swordfish';
const keysOf = async (server: string, env: Record<string, string> = {}) =>
  (await e2e.json<{ keys: KeyRow[] }>(`${server} keys list`, { env })).keys;
const primaryOf = async (server: string) => (await keysOf(server)).find(({ primary }) => primary)?.id;
const rowsOf = (server: string) => {
  const raw = openRaw(join(e2e.home, server, 'mail_service.db'));
  const audit = raw.prepare('SELECT COUNT(*) AS n FROM audit_events').get();
  const rows = readAllRows(raw);
  raw.close();
  return { rows, audit };
};

/** A tenant with an account at a server of its own; over HTTP, because that is not what is tested here. */
async function addAccount(url: string, token: string, id = 'smtp1'): Promise<SmtpTestServer> {
  const server = await startSmtpServer({ tls: 'starttls', auth: { user: 'u', password: PASSWORD } });
  smtp.push(server);
  const { host, port, tls, tlsCa, user, password } = server.endpoint();
  await callApi(url, token, 'POST', '/tenant', { tenant_id: 'acme' });
  const account = { id, tenant_id: 'acme', host, port, tls, tls_ca: tlsCa, user, password };
  expect((await callApi(url, token, 'POST', '/account', account)).json).toMatchObject({ ok: true });
  return server;
}

const post = (url: string, token: string, id: string, account = 'smtp1') =>
  callApi(url, token, 'POST', '/commands/add-messages', {
    messages: [
      {
        id,
        tenant_id: 'acme',
        account_id: account,
        from: 'a@example.com',
        to: 'b@example.net',
        subject: id,
        body: id,
      },
    ],
  });

const stop = async ({ child }: Awaited<ReturnType<typeof e2e.serve>>) => {
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
};

describe('a key in the server’s own directory', () => {
  it('is rotated while the daemon goes on sending: nothing is lost, and nothing fails for the key', async () => {
    const { url, token } = await e2e.start('flowing');
    const server = await addAccount(url, token);
    const before = (await keysOf('flowing'))[0]?.id;
    let posted = 0;
    const send = async () =>
      expect((await post(url, token, `m${posted++}`)).json).toMatchObject({ queued: 1 });
    await send();
    await server.waitFor(1);

    let running = true;
    const rotation = e2e.json<{ key_id: string; reencrypted: number; retired: string[] }>(
      'rotate-key flowing',
    );
    void rotation.finally(() => {
      running = false;
    });
    while (running || posted < 20) await send();
    const rotated = await rotation;
    expect(rotated).toMatchObject({ ok: true, dry_run: false, retired: [before] });
    expect(rotated.key_id).not.toBe(before);
    await server.waitFor(posted);
    expect(new Set(server.messages.map(({ raw }) => /^Subject: (.*)$/m.exec(raw.toString())?.[1])).size).toBe(
      posted,
    );
    expect(server.messages).toHaveLength(posted);
    // Pooled connections live on: a rotation is no change of credentials.
    expect(server.seen.auth.length).toBeLessThanOrEqual(5);

    const keys = await keysOf('flowing');
    expect(
      keys.map(({ id, primary, secrets, retired_at }) => [id, primary, secrets > 0, retired_at !== null]),
    ).toEqual(
      expect.arrayContaining([
        [rotated.key_id, true, true, false],
        [before, false, false, true],
      ]),
    );
    const folder = join(e2e.home, 'flowing', 'keys');
    expect(existsSync(join(e2e.home, 'flowing', 'encryption.key'))).toBe(false);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, `${rotated.key_id}.key`)).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(folder, 'retired'))).toEqual([`${before}.key`]);
    expect(await e2e.cli('flowing keys verify')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('secrets open'),
    });
  });

  it('is replaced by a key of one’s own, given in any way, with the daemon running or stopped', async () => {
    const { url, token } = await e2e.start('given');
    await addAccount(url, token);
    const first = (await primaryOf('given')) ?? '';
    const [raw, text, stdin, env] = [randomBytes(32), randomBytes(32), randomBytes(32), randomBytes(32)];
    const keys = [raw, text, stdin, env];
    const ids = keys.map(keyIdOf);

    const rows = rowsOf('given');
    const dry = await e2e.json(`rotate-key given --dry-run --new-key-file ${e2e.file('raw.key', raw)}`);
    expect(dry).toMatchObject({
      ok: true,
      dry_run: true,
      key_id: ids[0],
      retired: [first],
      retired_files: [],
    });
    expect(rowsOf('given')).toEqual(rows);
    expect(existsSync(join(e2e.home, 'given', 'keys'))).toBe(false);

    expect(await e2e.json(`rotate-key given --new-key-file ${e2e.file('raw.key', raw)}`)).toMatchObject({
      key_id: ids[0],
      retired: [first],
    });
    await e2e.json(`rotate-key given --new-key-file ${e2e.file('text.key', `${base64(text)}\n`)}`);
    expect(await primaryOf('given')).toBe(ids[1]);
    expect((await e2e.cli('stop given')).code).toBe(0);
    const shown = await e2e.cli('given rotate-key --new-key-stdin', { input: `${base64(stdin)}\n` });
    expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining(ids[2] ?? '') });
    expect(shown.stderr).toContain('backups made before still need it');
    await e2e.json('rotate-key given', { env: { MAIL_PROXY_NEW_ENCRYPTION_KEY: base64(env) } });
    expect(await keysOf('given')).toMatchObject([{ id: ids[3], primary: true }, {}, {}, {}, {}]);
    expect(await e2e.json('given keys verify')).toMatchObject({ ok: true, unreadable: [] });

    // Nothing of the new keys is anywhere but in their files.
    for (const key of keys) expect(`${shown.stdout}${shown.stderr}`).not.toContain(base64(key));
    const again = await e2e.start('given');
    const { json } = await callApi(again.url, token, 'POST', '/keys/verify');
    expect(json).toMatchObject({ ok: true });
  });

  it.each([
    ['two ways at once', ['--new-key-file', 'FILE', '--new-key-stdin'], 2],
    ['a file that is not there', ['--new-key-file', '/nonexistent/new.key'], 1],
    ['a file of another length', ['--new-key-file', 'SHORT'], 4],
    ['a key that is no base64', ['--new-key-stdin'], 4],
    ['the key that is in use', ['--new-key-file', 'OWN'], 2],
  ])('%s changes nothing', async (_what, flags, code) => {
    const own = join(e2e.home, 'given', 'keys', `${await primaryOf('given')}.key`);
    const files: Record<string, string> = {
      FILE: e2e.file('one.key', randomBytes(32)),
      SHORT: e2e.file('short.key', randomBytes(31)),
      OWN: own,
    };
    const before = rowsOf('given');
    const result = await e2e.cli(
      ['rotate-key', 'given', '--json', ...flags.map((flag) => files[flag] ?? flag)],
      {
        input: 'not a key!',
      },
    );
    expect(result.code, result.stdout).toBe(code);
    expect(JSON.parse(result.stdout)).toMatchObject({ ok: false, error: expect.stringMatching(/\.$/) });
    expect(rowsOf('given')).toEqual(before);
  });
});

describe('keys', () => {
  it('list says as a table, as JSON and as CSV which there are, and never a key', async () => {
    const [table, csv, json] = await Promise.all(
      ['', '--csv', '--json'].map((form) => e2e.cli(`given keys list ${form}`)),
    );
    const id = await primaryOf('given');
    const key = readFileSync(join(e2e.home, 'given', 'keys', `${id}.key`));
    for (const { code, stdout } of [table, csv, json] as Array<NonNullable<typeof table>>) {
      expect(code).toBe(0);
      expect(stdout).toContain(id);
      for (const form of ['base64', 'hex'] as const) expect(stdout).not.toContain(key.toString(form));
    }
    expect(table?.stdout).toMatch(new RegExp(`${id} +primary +\\d+ +/`));
    expect((await e2e.cli('given keys list --csv --json')).code).toBe(2);
  });

  it('add takes a further key to decrypt with, retire puts it aside, and one that is needed stays', async () => {
    const key = randomBytes(32);
    const id = keyIdOf(key);
    const primary = await primaryOf('given');
    expect(await e2e.json(`given keys add ${e2e.file('added.key', `${base64(key)}\n`)}`)).toEqual({
      ok: true,
      key_id: id,
    });
    const path = join(e2e.home, 'given', 'keys', `${id}.key`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await keysOf('given')).find((row) => row.id === id)).toMatchObject({
      primary: false,
      secrets: 0,
      source: path,
    });
    expect(await primaryOf('given')).toBe(primary);
    expect(await e2e.json(`given keys retire ${id}`)).toEqual({ ok: true });
    expect(existsSync(path)).toBe(false);
    expect((await e2e.cli(`given keys retire ${id}`)).code).toBe(3);
    expect((await e2e.cli(`given keys retire ${primary}`)).code).toBe(2);
    expect((await e2e.cli('given keys add /nonexistent')).code).toBe(1);
    expect((await e2e.cli(`given keys add ${e2e.file('bad.key', 'x')}`)).code).toBe(4);
    expect(await primaryOf('given')).toBe(primary);
  });

  it('verify ends with 4 and names each secret that does not open, with the likely reason', async () => {
    const raw = openRaw(join(e2e.home, 'given', 'mail_service.db'));
    const { host } = raw.prepare('SELECT host FROM accounts').get() as { host: string };
    raw.prepare("UPDATE accounts SET host = 'evil.example'").run();
    const result = await e2e.cli('given keys verify --json');
    raw.prepare('UPDATE accounts SET host = ?').run(host);
    raw.close();
    expect(result.code).toBe(4);
    expect(JSON.parse(result.stdout)).toMatchObject({
      ok: false,
      code: 'credential_unreadable',
      issues: [{ path: expect.stringContaining('smtp1'), message: expect.stringMatching(/host/) }],
    });
  });
});

/** A file as Docker and Kubernetes mount it: readable by all, behind a link. */
function mount(folder: string, key: Buffer, mode: number): string {
  const path = join(e2e.home, '..', 'mounts', folder, 'encryption_key');
  const data = join(dirname(path), '..data');
  mkdirSync(data, { recursive: true });
  writeFileSync(join(data, 'encryption_key'), key);
  chmodSync(join(data, 'encryption_key'), mode);
  symlinkSync('..data/encryption_key', path);
  return path;
}

/** Where a key comes from that this program cannot change: the environment with one, and with one before. */
const SOURCES: Record<string, (name: string, key: Buffer, previous?: Buffer) => Record<string, string>> = {
  environment: (_name, key, previous) => ({
    MAIL_PROXY_ENCRYPTION_KEY: base64(key),
    ...(previous === undefined ? {} : { MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: base64(previous) }),
  }),
  'mounted file': (name, key, previous) => ({
    MAIL_PROXY_ENCRYPTION_KEY_FILE: mount(`${name}-file`, key, 0o444),
    ...(previous === undefined
      ? {}
      : { MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE: mount(`${name}-previous`, previous, 0o444) }),
  }),
  'systemd credential': (name, key, previous) => ({
    CREDENTIALS_DIRECTORY: dirname(mount(`${name}-credential`, key, 0o400)),
    ...(previous === undefined ? {} : { MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: base64(previous) }),
  }),
};

describe('the procedure for a key from outside, step by step', () => {
  it.concurrent.each(Object.entries(SOURCES).map(([name, from], i) => [name, from, `outside${i}`] as const))(
    '%s',
    async (name, from, server) => {
      const token = `admin-token-of-${server}`;
      const withToken = { GMP_API_TOKEN: token };
      const [older, newer] = [randomBytes(32), randomBytes(32)];
      const old = from(`${server}-old`, older);
      let daemon = await e2e.serve(server, { ...withToken, ...old });
      const mailbox = await addAccount(daemon.url, token);

      const before = rowsOf(server);
      for (const flags of name !== 'environment'
        ? ['']
        : ['', '--dry-run', `--new-key-file ${e2e.file(`${server}.key`, newer)}`]) {
        const refused = await e2e.cli(`rotate-key ${server} ${flags}`, { env: old });
        expect(refused).toMatchObject({ code: 4, stdout: '' });
        expect(refused.stderr).toMatch(/nothing was changed[\s\S]*keygen[\s\S]*_PREVIOUS[\s\S]*[Rr]estart/);
        if (flags === '')
          expect(refused.stderr).toContain(
            old.MAIL_PROXY_ENCRYPTION_KEY_FILE ?? old.CREDENTIALS_DIRECTORY ?? 'MAIL_PROXY_ENCRYPTION_KEY',
          );
      }
      expect(rowsOf(server)).toEqual(before);
      expect(existsSync(join(e2e.home, server, 'keys'))).toBe(false);

      // A command that has the new key already, while the daemon does not, changes nothing either.
      const both = from(`${server}-both`, newer, older);
      const early = await e2e.cli(`rotate-key ${server}`, { env: both });
      expect(early).toMatchObject({ code: 4, stderr: expect.stringMatching(/daemon does not hold/) });
      expect(rowsOf(server)).toEqual(before);

      await stop(daemon);
      daemon = await e2e.serve(server, { ...withToken, ...both });
      await post(daemon.url, token, 'between');
      await mailbox.waitFor(1);
      expect(await e2e.json(`rotate-key ${server}`, { env: both })).toMatchObject({
        ok: true,
        key_id: keyIdOf(newer),
        retired: [keyIdOf(older)],
        retired_files: [],
      });
      await stop(daemon);

      const alone = from(`${server}-new`, newer);
      daemon = await e2e.serve(server, { ...withToken, ...alone });
      const { json } = await callApi(daemon.url, token, 'POST', '/keys/verify');
      expect(json).toMatchObject({ ok: true, unreadable: [] });
      await post(daemon.url, token, 'after');
      await mailbox.waitFor(2);
      await stop(daemon);
      // The key was never written to disk.
      const files = readdirSync(join(e2e.home, server), { recursive: true, withFileTypes: true }).filter(
        (it) => it.isFile(),
      );
      for (const { parentPath, name } of files) {
        const bytes = readFileSync(join(parentPath, name));
        for (const key of [older, newer])
          for (const form of [key, base64(key), key.toString('hex')])
            expect(bytes.includes(form), name).toBe(false);
      }
    },
  );
});

describe('stored secrets that no key opens', () => {
  const [lost, other] = [randomBytes(32), randomBytes(32)];
  const token = 'admin-token-of-locked';
  const env = { GMP_API_TOKEN: token, MAIL_PROXY_ENCRYPTION_KEY: base64(other) };
  let daemon: Awaited<ReturnType<typeof e2e.serve>> | undefined;
  let mailbox: SmtpTestServer;
  afterEach(async () => {
    if (daemon !== undefined) await stop(daemon);
    daemon = undefined;
  });

  it('refuse the start by id and number, and nothing is changed', async () => {
    daemon = await e2e.serve('locked', { ...env, MAIL_PROXY_ENCRYPTION_KEY: base64(lost) });
    mailbox = await addAccount(daemon.url, token);
    const account = {
      id: 'smtp2',
      tenant_id: 'acme',
      host: 'smtp.example.com',
      user: 'u',
      password: PASSWORD,
    };
    await callApi(daemon.url, token, 'POST', '/account', account);
    await stop(daemon);
    daemon = undefined;

    const before = rowsOf('locked');
    for (const command of ['serve', 'start']) {
      const refused = await e2e.cli(`${command} locked`, { env });
      expect(refused.code).toBe(4);
      // Two passwords, the tenant's webhook secret and the key of the audit trail.
      expect(refused.stderr).toContain(`4 stored secret(s) need key ${keyIdOf(lost)}`);
      expect(refused.stderr).toContain('Nothing was changed');
      expect(refused.stderr).toContain('--hold-unreadable');
    }
    expect(rowsOf('locked')).toEqual(before);
    expect((await keysOf('locked', env)).find(({ id }) => id === keyIdOf(lost))).toMatchObject({
      secrets: 4,
      source: null,
    });
  });

  it('--hold-unreadable goes on without those accounts, and giving the password again brings one back', async () => {
    daemon = await e2e.serve('locked', env, ['--hold-unreadable']);
    const { url } = daemon;
    const working = await addAccount(url, token, 'smtp3');
    await post(url, token, 'held', 'smtp1');
    await post(url, token, 'goes', 'smtp3');
    await working.waitFor(1);
    const events = async () =>
      (await callApi(url, token, 'GET', '/command-log')).json.events as Array<{
        event: string;
        subject: string;
        chain: number;
      }>;
    await until(
      async () =>
        (await events()).some(({ event, subject }) => event === 'account.held' && subject === 'smtp1'),
      'the trail says that the account is held',
    );
    expect((await events())[0]?.chain).toBe(2);
    expect(mailbox.seen.connections).toBe(0);

    expect(
      await e2e.cli('locked acme accounts update smtp1 --password-stdin', {
        env: { MAIL_PROXY_ENCRYPTION_KEY: base64(other) },
        input: PASSWORD,
      }),
    ).toMatchObject({ code: 0 });
    await mailbox.waitFor(1);
    expect(mailbox.messages[0]?.user).toBe('u');
    const { json } = await callApi(url, token, 'POST', '/command-log/verify');
    expect(json).toMatchObject({ ok: true });
    expect(json.unverifiable).toBeGreaterThan(0);
  });
});

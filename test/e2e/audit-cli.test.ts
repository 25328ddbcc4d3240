import { readFileSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { until } from '../support/processes.js';
import { openRaw } from '../support/tenant-rows.js';

const e2e = openE2eHome();
const me = `os:${userInfo().username}`;
let url = '';
let admin = '';
let tenant = '';
afterAll(() => e2e.close());

interface Event {
  seq: number;
  chain: number;
  event: string;
  actor: string;
  address: string | null;
  tenant_id: string | null;
  subject: string | null;
  detail: Record<string, unknown>;
  hash: string;
}

const list = async (flags = '') => (await e2e.json<{ events: Event[] }>(`alpha audit list ${flags}`)).events;
const log = () => readFileSync(join(e2e.home, 'alpha', 'daemon.log'), 'utf8');
const logged = (text: string) => until(() => log().includes(text), `the log says "${text}"`);
/** The newest head that the log was told. */
let head = '';
const headOfLog = () => [...log().matchAll(/Audit head (\d+:[0-9a-f]{64})/g)].at(-1)?.[1] ?? '';

beforeAll(async () => {
  ({ url, token: admin } = await e2e.start('alpha'));
  const made = await callApi(url, admin, 'POST', '/tenant', { tenant_id: 'acme' });
  tenant = made.json.api_key as string;
  const account = { host: 'smtp.example.com', user: 'u', password: 'swordfish' };
  await callApi(url, tenant, 'POST', '/account', { id: 'smtp1', ...account });
  await callApi(url, admin, 'POST', '/account', { id: 'smtp2', tenant_id: 'acme', ...account });
  await callApi(url, 'no such token', 'GET', '/messages');
  await e2e.json('alpha acme accounts add --id smtp3 --host smtp.example.com');
  await logged("Account 'smtp3' created");
});

describe('who did it', () => {
  it.each([
    ['the API with a tenant’s token', 'smtp1', 'tenant:acme/default', '127.0.0.1'],
    ['the API with the admin token', 'smtp2', 'admin', '127.0.0.1'],
    ['a command', 'smtp3', me, null],
  ])('%s', async (_way, subject, actor, address) => {
    const events = await list('--event account.created');
    expect(events.find((event) => event.subject === subject)).toMatchObject({
      actor,
      address,
      tenant_id: 'acme',
    });
  });

  it('a login that failed has an address and nothing of the token', async () => {
    const [failed] = await list('--event auth.failed');
    expect(failed).toMatchObject({ actor: 'anonymous', address: '127.0.0.1', subject: null, detail: {} });
  });
});

describe('the log', () => {
  it('has the lines of the security document', () => {
    for (const line of [
      /INFO {2}- Account 'smtp1' created for tenant 'acme'(?: address=\S+)?$/m,
      /INFO {2}- Account 'smtp3' created for tenant 'acme'(?: address=\S+)?$/m,
      /WARN {2}- API auth failed: invalid token address=\S+$/m,
      /INFO {2}- API auth successful for tenant 'acme' token=\S+ address=\S+$/m,
      /INFO {2}- Tenant 'acme' created address=\S+$/m,
    ])
      expect(log()).toMatch(line);
    expect(log().match(/Account 'smtp1' created/g)).toHaveLength(1);
  });

  it('has every request with route, status, time, token and address, in text too', async () => {
    for (const line of [
      /INFO {2}- POST \/account 200 ms=\S+ token=acme\/default address=127\.0\.0\.1/,
      /INFO {2}- GET \/messages 401 ms=\S+ token=- address=127\.0\.0\.1/,
    ])
      await until(() => line.test(log()), `the log has ${line}`);
  });

  it('is JSON with LOG_FORMAT=json', async () => {
    const { url: at, token } = await e2e.start('json', { env: { LOG_FORMAT: 'json' } });
    await callApi(at, token, 'POST', '/tenant', { tenant_id: 'acme' });
    await callApi(at, token, 'POST', '/account', {
      id: 'smtp1',
      tenant_id: 'acme',
      host: 'smtp.example.com',
    });
    const lines = () =>
      readFileSync(join(e2e.home, 'json', 'daemon.log'), 'utf8')
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as Record<string, unknown>);
    await until(() => lines().some(({ event }) => event === 'account.created'), 'the account is logged');
    expect(lines().find(({ event }) => event === 'account.created')).toMatchObject({
      msg: "Account 'smtp1' created for tenant 'acme'",
      actor: 'admin',
      address: '127.0.0.1',
      tenantId: 'acme',
      subject: 'smtp1',
    });
    expect(lines().find(({ route }) => route === '/account')).toMatchObject({
      method: 'POST',
      status: 200,
      token: 'admin',
      address: '127.0.0.1',
      ms: expect.any(Number),
    });
    expect((await e2e.cli('stop json')).code).toBe(0);
  });
});

describe('audit list', () => {
  it('is what GET /command-log answers, newest first', async () => {
    const { json } = await callApi(url, admin, 'GET', '/command-log?limit=1000');
    expect(await list()).toEqual(json.events);
  });

  it('filters by event, tenant, actor and time, and is paged', async () => {
    const names = async (flags: string) =>
      (await list(flags)).map(({ event, subject }) => `${event} ${subject}`);
    expect(await names(`--actor ${me}`)).toEqual(['account.created smtp3']);
    expect(await names('--for-tenant acme --event account.created --limit 2')).toEqual([
      'account.created smtp3',
      'account.created smtp2',
    ]);
    expect(await names('--for-tenant nosuch')).toEqual([]);
    const page = await e2e.json<{ events: Event[]; next_cursor: string }>(
      'alpha audit list --limit 2 --since 1h',
    );
    const next = await list(`--limit 1 --cursor ${page.next_cursor}`);
    expect(next[0]?.seq).toBe((page.events.at(-1)?.seq ?? 0) - 1);
  });

  it('prints a table and CSV for people, and refuses what it does not know', async () => {
    const [table, csv, event, since, both] = await Promise.all(
      ['', '--csv', '--event nosuch', '--since soon', '--csv --json'].map((flags) =>
        e2e.cli(`alpha audit list ${flags}`),
      ),
    );
    expect(table?.stdout).toMatch(/account\.created +admin +127\.0\.0\.1 +acme +smtp2/);
    expect(csv?.stdout.split('\n')[0]).toMatch(/^SEQ,AT,EVENT,ACTOR,ADDRESS,TENANT,SUBJECT,DETAIL\r?$/);
    expect([event?.code, since?.code, both?.code]).toEqual([2, 2, 2]);
    for (const result of [table, csv]) expect(result?.stdout).not.toMatch(/swordfish|ENC:|mp[at]_/);
  });
});

/** What each way to change the trail is found by; every change is undone. */
function tampered(change: string): () => void {
  const raw = openRaw(join(e2e.home, 'alpha', 'mail_service.db'));
  const before = raw.prepare('SELECT * FROM audit_events').all() as Array<Record<string, unknown>>;
  raw.exec(change);
  return () => {
    raw.transaction(() => {
      raw.exec('DELETE FROM audit_events');
      for (const row of before)
        raw
          .prepare(
            `INSERT INTO audit_events VALUES (${Object.keys(row)
              .map((name) => `@${name}`)
              .join(', ')})`,
          )
          .run(row);
    })();
    raw.close();
  };
}

describe('audit verify', () => {
  it('takes the head of the daemon’s log', async () => {
    await until(
      async () => headOfLog().startsWith(`${(await list('--limit 1'))[0]?.seq}:`),
      'the log has the head',
    );
    head = headOfLog();
    expect(await e2e.json(`alpha audit verify --head ${head}`)).toMatchObject({
      ok: true,
      problem: null,
      head,
    });
    const people = await e2e.cli('alpha audit verify');
    expect(people).toMatchObject({ code: 0, stdout: expect.stringContaining(`head ${head}`) });
  });

  it.each([
    ['edited', "UPDATE audit_events SET actor = 'admin' WHERE seq = 5", /Record 5/],
    ['deleted', 'DELETE FROM audit_events WHERE seq = 5', /Record 5 is missing/],
    [
      'exchanged',
      'UPDATE audit_events SET seq = 1000 WHERE seq = 5; UPDATE audit_events SET seq = 5 WHERE seq = 6; UPDATE audit_events SET seq = 6 WHERE seq = 1000',
      /Record 5/,
    ],
    [
      'inserted',
      "INSERT INTO audit_events SELECT MAX(seq) + 1, chain, at, event, 'os:mallory', address, tenant_id, subject, detail, hash FROM audit_events",
      /Record \d+/,
    ],
  ])('ends with 1 and names the place of a record that was %s', async (_what, change, place) => {
    const undo = tampered(change);
    const result = await e2e.cli('alpha audit verify --json').finally(undo);
    expect(result.code).toBe(1);
    expect(JSON.parse(result.stdout)).toMatchObject({
      ok: false,
      code: 'audit_broken',
      error: expect.stringMatching(place),
    });
  });

  it('with a head of the log ends with 1 when the tail was cut', async () => {
    const undo = tampered('DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)');
    const cut = await e2e.cli(`alpha audit verify --head ${head}`).finally(undo);
    expect(cut).toMatchObject({ code: 1, stderr: expect.stringContaining('tail was cut') });
    expect((await e2e.cli('alpha audit verify --head nonsense')).code).toBe(2);
  });
});

describe('audit export and restart', () => {
  it('prints JSON lines, oldest first, as the API does', async () => {
    const { code, stdout } = await e2e.cli('alpha audit export');
    expect(code).toBe(0);
    const response = await fetch(`${url}/command-log/export`, { headers: { 'X-API-Token': admin } });
    expect(await response.text()).toBe(stdout);
    const seqs = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as Event).seq);
    expect(seqs).toEqual(seqs.map((_seq, i) => i + 1));
  });

  it('archives what is old behind a signed checkpoint, and the rest verifies as before', async () => {
    const out = join(e2e.home, '..', 'audit.jsonl');
    expect((await e2e.cli('alpha audit export --archive-older-than 1h')).code).toBe(2);
    const archived = await e2e.cli(`alpha audit export --out ${out} --archive-older-than 1s`);
    expect(archived).toMatchObject({ code: 0, stdout: '' });
    expect(statSync(out).mode & 0o777).toBe(0o600);
    const written = readFileSync(out, 'utf8').trimEnd().split('\n');
    expect(written.length).toBeGreaterThan(5);
    const left = await list();
    expect(left.map(({ event }) => event)).toContain('audit.archived');
    expect(left.length).toBeLessThan(written.length);
    expect(await e2e.json(`alpha audit verify --head ${head}`)).toMatchObject({ ok: true });
    expect((await e2e.cli(`alpha audit export --out ${out}`)).code).toBe(1);
    expect(readFileSync(out, 'utf8').trimEnd().split('\n')).toEqual(written);
  });

  it('restart begins a new, marked chain, which the running daemon goes on with', async () => {
    expect((await e2e.cli('alpha audit restart')).code).not.toBe(0);
    expect(await e2e.json('alpha audit restart --force --reason moved')).toEqual({ ok: true, chain: 2 });
    expect((await list('--event audit.started --limit 1'))[0]).toMatchObject({
      event: 'audit.started',
      chain: 2,
      actor: me,
      detail: { reason: 'moved' },
    });
    await logged('A new audit chain begins');
    await callApi(url, admin, 'POST', '/tenant', { tenant_id: 'later' });
    expect((await list('--event tenant.created --limit 1'))[0]).toMatchObject({
      chain: 2,
      tenant_id: 'later',
    });
    expect(await e2e.json('alpha audit verify')).toMatchObject({ ok: true });
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';
import { openRaw, readAllRows } from '../support/tenant-rows.js';

const e2e = openE2eHome();
const CANARY = 'zqglobexcanary';
let url = '';
let admin = '';
let eml = '';
afterAll(() => e2e.close());

/** An id that only the other tenant has, one that nobody has, and one that both have. */
const [SOLO, ABSENT, SHARED] = ['solo1', 'none1', 'smtp1'];

/** How each command of a tenant is called about a row of that id. */
const CASES: Record<string, (id: string) => string> = {
  'accounts add': (id) => `accounts add --id ${id} --host 127.0.0.1 --port 9 --tls none`,
  'accounts delete': (id) => `accounts delete ${id} --force`,
  'accounts list': () => 'accounts list',
  'accounts show': (id) => `accounts show ${id}`,
  'accounts test': (id) => `accounts test ${id}`,
  'accounts update': (id) => `accounts update ${id} --limit-hour 1`,
  activate: (id) => `activate --batch batch-${id}`,
  'messages delete': (id) => `messages delete ${id} --force`,
  'messages list': (id) => `messages list --account ${id} --batch batch-${id}`,
  'messages resolve': (id) => `messages resolve ${id} --sent`,
  'messages retry': (id) => `messages retry ${id}`,
  'messages show': (id) => `messages show ${id}`,
  'messages explain': (id) => `messages explain ${id}`,
  'run-now': () => 'run-now',
  send: (id) => `send ${eml} --account ${id}`,
  suspend: (id) => `suspend --batch batch-${id}`,
  'tokens create': (id) => `tokens create ${id}`,
  'tokens list': () => 'tokens list',
  'tokens revoke': (id) => `tokens revoke ${id}`,
  use: () => 'use',
};
/** Answers that differ from call to call by what they make: a token, one more suspended batch. */
const MAKES_SOMETHING = new Set(['tokens create', 'accounts add', 'suspend', 'activate']);

const rowsOf = () => {
  const raw = openRaw(join(e2e.home, 'alpha', 'mail_service.db'));
  const rows = readAllRows(raw).byTenant;
  raw.close();
  return rows;
};

async function seed(tenant: string, ids: string[], text: string): Promise<void> {
  const post = (path: string, body: object) =>
    callApi(url, admin, 'POST', path, { tenant_id: tenant, ...body });
  await post('/tenant', { name: text });
  for (const id of ids) {
    await post('/account', {
      id,
      host: '127.0.0.1',
      port: 9,
      tls: 'none',
      from_address: `${text}@example.com`,
    });
    await callApi(url, admin, 'POST', `/tenant/${tenant}/tokens`, { name: id });
    const message = { id, tenant_id: tenant, account_id: id, to: 'b@example.net', subject: text, body: text };
    await callApi(url, admin, 'POST', '/commands/add-messages', {
      messages: [{ ...message, batch_code: `batch-${id}` }],
    });
  }
}

beforeAll(async () => {
  ({ url, token: admin } = await e2e.start('alpha', { env: { GMP_SCHEDULER_ACTIVE: 'false' } }));
  await seed('acme', [SHARED], 'acme');
  await seed('globex', [SHARED, SOLO], CANARY);
  eml = e2e.file('one.eml', 'From: a@example.com\nTo: b@example.net\nSubject: x\n\nx\n');
});

const run = (line: string) => e2e.cli(`alpha acme ${line} --json`, { env: { GMP_API_TOKEN: admin } });

describe('commands of a tenant', () => {
  it('each have a case here', () => {
    const { commands } = JSON.parse(
      readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'),
    ) as { commands: Record<string, { flags: object }> };
    const ofTenant = Object.keys(commands).filter((id) => 'tenant' in (commands[id]?.flags ?? {}));
    expect(ofTenant.map((id) => id.replaceAll(':', ' ')).sort()).toEqual(Object.keys(CASES).sort());
  });

  const isForeignAsAbsent = async (name: string) => {
    const before = rowsOf().globex;
    const line = CASES[name] as (id: string) => string;
    const [foreign, absent] = [await run(line(SOLO)), await run(line(ABSENT))];
    expect(foreign.code).toBe(absent.code);
    for (const stream of ['stdout', 'stderr'] as const) {
      expect(foreign[stream]).not.toContain(CANARY);
      if (!MAKES_SOMETHING.has(name)) expect(foreign[stream].replaceAll(SOLO, ABSENT)).toBe(absent[stream]);
    }
    expect(rowsOf().globex).toEqual(before);
  };
  const names = Object.keys(CASES);

  it.concurrent.each(names.filter((name) => !MAKES_SOMETHING.has(name)))(
    '%s answers for a row of another tenant as for one that is not there',
    isForeignAsAbsent,
  );

  it.each([...MAKES_SOMETHING])(
    '%s makes a row that another tenant has as one that nobody has',
    isForeignAsAbsent,
  );
});

it('a row that both tenants have is changed for the one that is named', async () => {
  const before = rowsOf();
  for (const line of [
    `accounts update ${SHARED} --limit-hour 7`,
    `tokens revoke ${SHARED}`,
    `accounts delete ${SHARED} --force`,
  ])
    expect(await run(line)).toMatchObject({ code: 0 });
  const after = rowsOf();
  expect(after.globex).toEqual(before.globex);
  expect(after.acme).not.toEqual(before.acme);
});

it.each([
  ['--tenant and a word', 'alpha acme accounts list --tenant globex', 2],
  ['a path', ['accounts', 'list', '-s', 'alpha', '-t', '../globex'], 2],
  ['another spelling', 'accounts list -s alpha -t GLOBEX', 3],
  ['a pattern', ['accounts', 'list', '-s', 'alpha', '-t', 'glob%'], 2],
])('%s never shows one tenant as another', async (_what, args, code) => {
  const { code: ended, stdout, stderr } = await e2e.cli(args);
  expect({ ended, stderr }).toMatchObject({ ended: code });
  expect(`${stdout}${stderr}`).not.toContain(CANARY);
});

it('the word of the call goes before the environment', async () => {
  const { stdout } = await e2e.cli('alpha acme accounts list --json', {
    env: { MAIL_PROXY_TENANT: 'globex' },
  });
  expect(stdout).not.toContain(CANARY);
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openE2eHome } from '../support/e2e-home.js';

const e2e = openE2eHome();
afterAll(() => e2e.close());
beforeAll(async () => {
  await e2e.start('myserver');
  await e2e.json('myserver tenants add acme');
  await e2e.json('myserver tenants add info');
});

interface Form {
  name: string;
  /** Arguments before and after the command's own words, and the environment of the call. */
  before: string[];
  after: string[];
  env: Record<string, string>;
}

/** The forms at the head of the command-line contract, for a tenant. */
const FORMS: Form[] = [
  { name: 'words', before: ['myserver', 'acme'], after: [], env: {} },
  { name: 'flags', before: [], after: ['-s', 'myserver', '-t', 'acme'], env: {} },
  {
    name: 'environment',
    before: [],
    after: [],
    env: { MAIL_PROXY_SERVER: 'myserver', MAIL_PROXY_TENANT: 'acme' },
  },
];

const call = (form: Form, command: string[], rest: string[] = []) =>
  e2e.cli([...form.before, ...command, ...form.after, ...rest], {
    env: { MAIL_PROXY_SMTP_PASSWORD: 'swordfish', ...form.env },
  });

describe('the forms of a call about a tenant', () => {
  it('all add the same account', async () => {
    const added: Array<Record<string, unknown>> = [];
    for (const form of FORMS) {
      const flags = ['--host', 'smtp.example.com', '--tls', 'starttls', '--user', 'u', '--json'];
      const { code, stdout, stderr } = await call(form, ['accounts', 'add'], flags);
      expect({ form: form.name, code, stderr }).toEqual({ form: form.name, code: 0, stderr: '' });
      added.push(JSON.parse(stdout) as Record<string, unknown>);
    }
    expect(added.map(({ id }) => id)).toEqual(['smtp1', 'smtp2', 'smtp3']);
    for (const account of added) {
      expect(account).toMatchObject({ tenant_id: 'acme', host: 'smtp.example.com', port: 587, user: 'u' });
    }
  });

  it.each([
    ['JSON', ['accounts', 'list'], ['--json']],
    ['CSV', ['accounts', 'list'], ['--csv']],
    ['a failure', ['accounts', 'show'], ['nosuch', '--json']],
    ['a wrong flag', ['accounts', 'list'], ['--nosuch', '--json']],
  ])('all print the same: %s', async (_what, command, rest) => {
    const [first, ...others] = await Promise.all(FORMS.map((form) => call(form, command, rest)));
    for (const other of others) expect(other).toEqual(first);
    expect(first?.stdout).not.toBe('');
  });
});

it('the forms of a call about a server print the same', async () => {
  const answers = await Promise.all([
    e2e.cli('myserver tenants list --json'),
    e2e.cli('tenants list -s myserver --json'),
    e2e.cli('tenants list --json', { env: { MAIL_PROXY_SERVER: 'myserver' } }),
    e2e.cli('myserver tenants list --json', { env: { MAIL_PROXY_SERVER: 'another' } }),
  ]);
  for (const answer of answers) expect(answer).toEqual(answers[0]);
  expect(answers[0]).toMatchObject({ code: 0, stderr: '' });
});

it('`use` remembers server and tenant for the calls that name none', async () => {
  expect(await e2e.json('use myserver acme')).toMatchObject({ server: 'myserver', tenant: 'acme' });
  expect(await e2e.cli('accounts list --json')).toEqual(await e2e.cli('myserver acme accounts list --json'));
  expect(await e2e.cli('status --json')).toMatchObject({ code: 0 });
  // What a call says itself comes first, and a remembered tenant belongs to its server only.
  expect(await e2e.cli('-t info accounts list --json')).toEqual(
    await e2e.cli('accounts list -s myserver -t info --json'),
  );
  await e2e.json('use --clear');
  expect(await e2e.cli('accounts list --json')).toMatchObject({ code: 2 });
});

it('a tenant whose id is a word of the command line works by -t', async () => {
  const { code, stdout } = await e2e.cli('myserver accounts list -t info --json');
  expect({ code, answer: JSON.parse(stdout) }).toEqual({ code: 0, answer: { ok: true, accounts: [] } });
});

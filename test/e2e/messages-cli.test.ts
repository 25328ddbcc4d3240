import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { callApi, openE2eHome } from '../support/e2e-home.js';

const e2e = openE2eHome();
afterAll(() => e2e.close());
let url = '';
let admin = '';
const message = (id: string, changes: Record<string, unknown> = {}) => ({
  id,
  tenant_id: 'acme',
  from: 'app@example.com',
  to: ['someone@example.net'],
  subject: `About ${id}`,
  body: 'Hello',
  ...changes,
});

beforeAll(async () => {
  ({ url, token: admin } = await e2e.start('myserver', { env: { GMP_SCHEDULER_ACTIVE: 'false' } }));
  for (const tenant of ['acme', 'globex']) {
    await callApi(url, admin, 'POST', '/tenant', { tenant_id: tenant });
    await callApi(url, admin, 'POST', '/account', { id: 'smtp1', tenant_id: tenant, host: 'smtp.example' });
  }
  const messages = [
    message('plain'),
    message('later', { deferred_ts: Math.floor(Date.now() / 1000) + 3600, priority: 'low' }),
    message('batched', { batch_code: 'Q1', cc: ['second@example.net'] }),
    message('formula', { subject: '=cmd|calc', batch_code: 'q1' }),
    message('theirs', { tenant_id: 'globex' }),
  ];
  const answer = await callApi(url, admin, 'POST', '/commands/add-messages', { messages });
  expect(answer.json).toEqual({ ok: true, queued: messages.length, rejected: [] });
  // Control characters are refused over HTTP, but an encoded-word of a file may hold anything.
  const subject = Buffer.from('red \u001b[31malert\u001b[0m \u202egnp.exe').toString('base64');
  const eml = `From: a@example.com\nTo: b@example.net\nSubject: =?utf-8?B?${subject}?=\n\nx\n`;
  await e2e.json('myserver acme send - --id escape', { input: eml });
});

const acme = (line: string) => e2e.cli(`myserver acme ${line}`);
const acmeJson = (line: string) =>
  e2e.json<{ messages: Array<{ id: string }>; next_cursor?: string }>(`myserver acme ${line}`);
const ids = ({ messages }: { messages: Array<{ id: string }> }): string[] => messages.map(({ id }) => id);

describe.concurrent('messages list', () => {
  it.each([
    ['', ''],
    ['--status deferred', '&status=deferred'],
    ['--active', '&active_only=true'],
    ['--account smtp1', '&account_id=smtp1'],
    ['--batch Q1', '&batch_code=Q1'],
    ['--limit 2', '&limit=2'],
  ])('--json %s is what GET /messages answers', async (flags, query) => {
    const { json } = await callApi(url, admin, 'GET', `/messages?tenant_id=acme${query}`);
    expect(await acmeJson(`messages list ${flags}`)).toEqual(json);
  });

  it('shows one tenant’s messages only, newest first', async () => {
    expect(ids(await acmeJson('messages list'))).toEqual(['escape', 'formula', 'batched', 'later', 'plain']);
  });

  it('5: batches are told apart by every letter', async () => {
    expect(ids(await acmeJson('messages list --batch Q1'))).toEqual(['batched']);
    expect(ids(await acmeJson('messages list --batch __'))).toEqual([]);
  });

  it('goes on where the page before ended', async () => {
    const first = await acmeJson('messages list --limit 3');
    const second = await acmeJson(`messages list --limit 3 --cursor ${first.next_cursor}`);
    expect([...ids(first), ...ids(second)]).toEqual(['escape', 'formula', 'batched', 'later', 'plain']);
    expect(second.next_cursor).toBeUndefined();
    expect((await acme('messages list --limit 3')).stderr).toContain(`--cursor ${first.next_cursor}`);
  });

  it('34: a table spells out what would drive the terminal', async () => {
    const { stdout } = await acme('messages list');
    expect(stdout).toContain('red \\x1b[31malert\\x1b[0m \\u202egnp.exe');
    expect(stdout).not.toContain('\u001b');
  });

  it('34: --csv neutralises cells that a spreadsheet would run', async () => {
    const { stdout } = await acme('messages list --csv --batch q1');
    expect(stdout).toContain("\r\nformula,pending,smtp1,someone@example.net,'=cmd|calc,");
  });

  it('--csv and --json together are a usage error', async () => {
    expect(await acme('messages list --csv --json')).toMatchObject({ code: 2 });
  });
});

describe.concurrent('messages show', () => {
  it('--json is what GET /messages/{id} answers', async () => {
    const { json } = await callApi(url, admin, 'GET', '/messages/batched?tenant_id=acme');
    expect(await acmeJson('messages show batched')).toEqual({ ...json, events: [] });
    expect(json).toMatchObject({ hold: { gate: 'scheduler_inactive', until_ts: null } });
  });

  it('shows each recipient, and times with their offset', async () => {
    const { stdout } = await acme('messages show batched');
    expect(stdout).toMatch(/^second@example\.net +pending/m);
    expect(stdout).toMatch(/^created_at +\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d\d:\d\d$/m);
  });

  it('a message of another tenant is answered like one that does not exist', async () => {
    const [theirs, none] = [await acme('messages show theirs'), await acme('messages show nosuch')];
    expect(theirs).toEqual(none);
    expect(none.code).toBe(3);
  });
});

describe('what a person does to queued messages', () => {
  const statusOf = async (id: string) =>
    (await callApi(url, admin, 'GET', `/messages/${id}?tenant_id=acme`)).json.status;

  it('suspend --batch holds that batch and no other', async () => {
    expect(await acmeJson('suspend --batch Q1')).toMatchObject({
      ok: true,
      tenant_id: 'acme',
      batch_code: 'Q1',
      suspended_batches: ['Q1'],
      pending_messages: 1,
    });
    expect([await statusOf('batched'), await statusOf('formula')]).toEqual(['suspended', 'pending']);
  });

  it('messages retry makes one due that waits, and says which are not there', async () => {
    const { code, stdout } = await acme('messages retry later nosuch --json');
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({ ok: true, retried: 1, not_found: ['nosuch'], skipped: [] });
    expect(await statusOf('later')).toBe('pending');
  });

  it('messages delete asks unless it is forced', async () => {
    expect(await acme('messages delete later plain')).toMatchObject({ code: 2 });
    expect(await statusOf('plain')).toBe('pending');
  });
});

import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { deleteAccount } from '../../src/services/accounts.js';
import { beginAuditChain } from '../../src/services/audit-chain.js';
import { exportAudit, listAudit } from '../../src/services/list-audit.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { deleteTenant } from '../../src/services/tenants.js';
import { createToken, revokeToken, rotateAdminToken } from '../../src/services/tokens.js';
import { openStore, type Store } from '../../src/store/store.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
let raw: Database.Database;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  raw = closing(new Database(opened.path), (it) => it.close());
  await opened.addTenant('acme', 'acme-token');
  await putAccount(
    opened.context,
    'acme',
    'smtp1',
    { host: 'a.example.com', user: 'u', password: 'p' },
    'add',
  );
});

/** Everything that is stored but the trail itself. */
function everything(): string {
  const tables = raw.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").pluck().all() as string[];
  return JSON.stringify(tables.map((table) => [table, raw.prepare(`SELECT * FROM ${table}`).all()]));
}

/** Each change that is a security event, and the event. */
const CHANGES: ReadonlyArray<[string, (opened: TestStore, store: Store) => Promise<unknown>]> = [
  ['tenant.created', ({ context }, store) => putTenant({ ...context, store }, 'new', {}, {}, 'create')],
  [
    'tenant.updated',
    ({ context }, store) => putTenant({ ...context, store }, 'acme', { name: 'x' }, {}, 'update'),
  ],
  ['tenant.deleted', ({ context }, store) => deleteTenant({ ...context, store }, 'acme')],
  [
    'account.created',
    ({ context }, store) => putAccount({ ...context, store }, 'acme', 'b', { host: 'b.example.com' }, 'add'),
  ],
  [
    'account.updated',
    ({ context }, store) => putAccount({ ...context, store }, 'acme', 'smtp1', { limitDay: 5 }, 'update'),
  ],
  [
    'account.deleted',
    ({ context }, store) => deleteAccount({ ...context, store }, 'acme', 'smtp1', { force: true }),
  ],
  [
    'token.created',
    ({ context }, store) => createToken({ ...context, store }, 'acme', { name: 'ci', replace: false }),
  ],
  [
    'token.changed',
    ({ context }, store) => createToken({ ...context, store }, 'acme', { name: 'default', replace: true }),
  ],
  ['token.revoked', ({ context }, store) => revokeToken({ ...context, store }, 'acme', 'default')],
  ['admin_token.changed', ({ context }, store) => rotateAdminToken({ ...context, store })],
  ['config.changed', (_opened, store) => store.settings.set('port', '1', by(NOON))],
  ['key.added', (_opened, store) => store.keys.add('0123456789abcdef', 'file', by(NOON))],
  ['key.primary', (_opened, store) => store.keys.makePrimary('0123456789abcdef', 'file', by(NOON))],
];

describe.each(CHANGES)('%s', (event, change) => {
  test('is in the trail with who did it, after the change', async () => {
    const before = await opened.store.audit.head();
    await change(opened, opened.store);
    const records = await opened.store.audit.read(before?.seq ?? 0, 10);
    // That a tenant is being deleted is written down before anything is taken from it.
    const [newest, ...others] = records.filter(({ detail }) => !detail.includes('"deleting":true'));
    expect(newest).toMatchObject({ event, actor: 'os:test' });
    // A new tenant comes with its first token.
    expect(others.map((other) => other.event)).toEqual(event === 'tenant.created' ? ['token.created'] : []);
  });

  test('does not happen when the trail is locked', async () => {
    const locked = closing(await openStore(opened.path), (it) => it.close());
    const before = everything();
    await expect(change(opened, locked)).rejects.toThrow(expect.objectContaining({ code: 'key_missing' }));
    expect(everything()).toBe(before);
  });

  test('does not happen when the event cannot be written', async () => {
    raw.exec("CREATE TRIGGER no_audit BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no'); END");
    const before = everything();
    await expect(change(opened, opened.store)).rejects.toThrow();
    expect(everything()).toBe(before);
  });
});

test('a put that changes nothing leaves no event', async () => {
  const before = await opened.store.audit.head();
  await putAccount(opened.context, 'acme', 'smtp1', {}, 'update');
  expect(await opened.store.audit.head()).toEqual(before);
});

test('no secret stands in the trail, only the names of what changed', async () => {
  const canary = 'canary-5f3a-secret';
  await putAccount(opened.context, 'acme', 'smtp1', { password: canary }, 'update');
  await putTenant(opened.context, 'acme', { webhookSecret: canary }, { token: canary }, 'update');
  await createToken(opened.context, 'acme', { name: 'ci', token: `${canary}-2`, replace: false });
  let text = '';
  for await (const lines of exportAudit(opened.context)) text += lines;
  expect(text).toContain('password');
  expect(text).not.toContain(canary);
  expect(text).not.toContain('ENC:');
});

test('what another process began a new chain after is not written to the old one', async () => {
  const other = closing(await openStore(opened.path), (it) => it.close());
  await beginAuditChain(other, opened.keyring, by(NOON), 'asked for');
  const before = everything();
  await expect(opened.store.settings.set('port', '1', by(NOON))).rejects.toThrow(/chain 2/);
  expect(everything()).toBe(before);
});

test('a chain that could not be begun leaves the one before in use', async () => {
  raw.exec("CREATE TRIGGER no_key BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'no'); END");
  await expect(beginAuditChain(opened.store, opened.keyring, by(NOON), 'x')).rejects.toThrow();
  raw.exec('DROP TRIGGER no_key');
  await opened.store.settings.set('port', '1', by(NOON));
  expect((await opened.store.audit.read(0, 100)).map(({ chain }) => chain)).not.toContain(2);
  expect((await opened.store.audit.chains()).map(({ chain }) => chain)).toEqual([1]);
});

test('is listed newest first, page by page, and narrowed by tenant, event, actor and time', async () => {
  await opened.addTenant('globex', 'globex-token');
  opened.clock.now += 60_000;
  await putTenant(opened.context, 'globex', { name: 'late' }, {}, 'update');
  const list = async (filter: Parameters<typeof listAudit>[1], limit = 50, cursor?: string) =>
    listAudit(opened.context, filter, { limit, ...(cursor === undefined ? {} : { cursor }) });
  const seqs = (await list({})).items.map(({ seq }) => seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => b - a));
  const first = await list({}, 2);
  const second = await list({}, 2, first.nextCursor);
  expect([...first.items, ...second.items].map(({ seq }) => seq)).toEqual(seqs.slice(0, 4));
  const events = async (filter: Parameters<typeof listAudit>[1]) =>
    (await list(filter)).items.map(({ event }) => event);
  expect(await events({ tenantId: 'globex' })).toEqual(['tenant.updated', 'token.created', 'tenant.created']);
  expect(await events({ event: 'account.created' })).toEqual(['account.created']);
  expect(await events({ since: opened.clock.now })).toEqual(['tenant.updated']);
  expect(await events({ until: opened.clock.now - 1, tenantId: 'globex' })).toEqual([
    'token.created',
    'tenant.created',
  ]);
  expect(await events({ actor: 'nobody' })).toEqual([]);
});

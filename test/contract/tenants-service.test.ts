import { beforeEach, describe, expect, test } from 'vitest';
import { callbackAdditionalData, webhookSecretAdditionalData } from '../../src/crypto/binding.js';
import { authenticator } from '../../src/services/authenticate.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { deleteTenant, getTenant, listTenants } from '../../src/services/tenants.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';

const closing = useCleanup();
let opened: TestStore;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
});

const coded = (code: string) => expect.objectContaining({ code });
type Rest = Parameters<typeof putTenant> extends [unknown, unknown, ...infer R] ? R : never;
const put = (id: string, ...rest: Rest) => putTenant(opened.context, id, ...rest);
const stored = async (id = 'acme') => {
  const tenant = await opened.store.tenants.get(tenantScope(id));
  if (tenant === undefined) throw new Error('There is no such tenant.');
  return tenant;
};
const whoHas = (token: string) => authenticator(opened.store)(token, opened.clock.now);

describe('a new tenant', () => {
  test('gets a token and a webhook secret, told once and kept as hash and sealed', async () => {
    const made = await put('acme', {}, {}, 'create');
    expect(made).toMatchObject({ created: true, token: expect.stringMatching(/^mpt_/) });
    expect(await whoHas(made.token ?? '')).toEqual({
      kind: 'tenant',
      tenantId: 'acme',
      tokenName: 'default',
      tokenPk: expect.any(Number),
    });
    const { webhookSecret } = await stored();
    expect(webhookSecret?.value).toMatch(/^ENC:/);
    expect(webhookSecret && opened.keyring.open(webhookSecret, webhookSecretAdditionalData('acme'), '')).toBe(
      made.webhookSecret,
    );
    const again = await put('acme', { name: 'x' }, {}, 'create-or-update');
    expect(again).toMatchObject({ created: false, token: undefined, webhookSecret: undefined });
    expect(await whoHas(made.token ?? '')).toBeDefined();
  });

  test('may have its secrets chosen, which are then not told again', async () => {
    const chosen = { token: 'my own', expiresAt: opened.clock.now + 1000 };
    const made = await put('acme', { webhookSecret: 'whsec_mine' }, chosen, 'create');
    expect(made).toMatchObject({ token: undefined, webhookSecret: undefined });
    expect(await whoHas('my own')).toBeDefined();
    opened.clock.now += 1000;
    expect(await whoHas('my own')).toBeUndefined();
  });

  test('must be new, or be there, as the caller means it', async () => {
    await expect(put('acme', {}, {}, 'update')).rejects.toThrow(coded('tenant_not_found'));
    await put('acme', {}, {}, 'create');
    await expect(put('acme', {}, {}, 'create')).rejects.toThrow(coded('already_exists'));
    await expect(put('a/b', {}, {}, 'create')).rejects.toThrow(coded('validation_failed'));
  });
});

describe('tokens', () => {
  test('a new one ends the old one', async () => {
    await put('acme', {}, { token: 'first' }, 'create');
    await put('acme', {}, { token: 'second' }, 'update');
    expect(await whoHas('first')).toBeUndefined();
    expect(await whoHas('second')).toBeDefined();
  });

  test('no two owners may have the same, the admin included', async () => {
    await opened.setAdminToken('admin');
    await put('acme', {}, { token: 'mine' }, 'create');
    await expect(put('globex', {}, { token: 'mine' }, 'create')).rejects.toThrow(coded('already_exists'));
    await expect(put('globex', {}, { token: 'admin' }, 'create')).rejects.toThrow(coded('already_exists'));
    expect(await opened.store.tenants.get(tenantScope('globex'))).toBeUndefined();
  });

  test.each(['', 'x'.repeat(513)])('of an impossible length are refused', async (token) => {
    await expect(put('acme', {}, { token }, 'create')).rejects.toThrow(coded('validation_failed'));
  });

  test('pitfall 5: of a tenant that is not active mean nothing until it is active again', async () => {
    await put('acme', {}, { token: 'mine' }, 'create');
    await put('acme', { active: false }, {}, 'update');
    expect(await whoHas('mine')).toBeUndefined();
    await put('acme', { active: true }, {}, 'update');
    expect(await whoHas('mine')).toBeDefined();
  });
});

describe('callback credentials', () => {
  const clientBaseUrl = 'https://a.example.com';
  const basic = { method: 'basic', user: 'u', password: 'hunter2' } as const;
  const binding = {
    baseUrl: clientBaseUrl,
    syncPath: '/mail-proxy/sync',
    attachmentPath: '/mail-proxy/attachments',
  };

  test('pitfall 11: are sealed and bound to where they are sent', async () => {
    await put('acme', { clientBaseUrl, clientAuth: basic }, {}, 'create');
    const { clientAuthSecret, ...rest } = await stored();
    expect(rest).toMatchObject({ clientAuthMethod: 'basic', clientAuthUser: 'u' });
    if (clientAuthSecret === null) throw new Error('Nothing is stored.');
    expect(opened.keyring.open(clientAuthSecret, callbackAdditionalData('acme', binding), '')).toBe(
      'hunter2',
    );
    const elsewhere = callbackAdditionalData('acme', { ...binding, baseUrl: 'https://evil.example' });
    expect(() => opened.keyring.open(clientAuthSecret, elsewhere, '')).toThrow(
      coded('credential_unreadable'),
    );
    expect(JSON.stringify(await getTenant(opened.context, 'acme'))).not.toMatch(/ENC:|hunter2/);
  });

  test.each([
    { clientBaseUrl: 'https://evil.example' },
    { clientBaseUrl: null },
    { clientSyncPath: '/other' },
    { clientAttachmentPath: '/other' },
  ])('do not follow a change of the endpoint: %j', async (change) => {
    await put('acme', { clientBaseUrl, clientAuth: basic }, {}, 'create');
    await expect(put('acme', change, {}, 'update')).rejects.toThrow(coded('secret_required'));
    expect((await stored()).clientBaseUrl).toBe(clientBaseUrl);
    await put('acme', { ...change, clientAuth: { method: 'none' } }, {}, 'update');
    expect(await stored()).toMatchObject({ clientAuthSecret: null, clientAuthUser: null });
  });

  test('stay when something else is changed', async () => {
    await put('acme', { clientBaseUrl, clientAuth: basic }, {}, 'create');
    const before = (await stored()).clientAuthSecret;
    await put('acme', { name: 'other' }, {}, 'update');
    expect((await stored()).clientAuthSecret).toEqual(before);
  });
});

test('tenants are listed page by page, and deleting one that is not there says so', async () => {
  for (const id of ['a', 'b', 'c']) await put(id, { active: id !== 'b' }, {}, 'create');
  const first = await listTenants(opened.context, { limit: 2, activeOnly: false });
  expect(first).toMatchObject({ items: [{ id: 'a' }, { id: 'b' }], nextCursor: 'b' });
  const second = await listTenants(opened.context, { limit: 2, activeOnly: false, cursor: 'b' });
  expect(second).toMatchObject({ items: [{ id: 'c' }], nextCursor: undefined });
  expect((await listTenants(opened.context, { limit: 9, activeOnly: true })).items).toHaveLength(2);
  await deleteTenant(opened.context, 'a');
  await expect(deleteTenant(opened.context, 'a')).rejects.toThrow(coded('tenant_not_found'));
  await expect(getTenant(opened.context, 'a')).rejects.toThrow(coded('tenant_not_found'));
});

import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { hashToken } from '../../src/crypto/token.js';
import { settleAdminToken } from '../../src/services/admin-token.js';
import { AuthAudit } from '../../src/services/auth-audit.js';
import { authenticator } from '../../src/services/authenticate.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { createToken, listTokens, revokeToken, rotateAdminToken } from '../../src/services/tokens.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  await opened.addTenant('acme', 'acme-token');
  await opened.addTenant('globex', 'globex-token');
  await opened.setAdminToken('the admin token');
});
const coded = (code: string) => expect.objectContaining({ code });
const whoHas = (token: string) => authenticator(opened.store)(token, opened.clock.now);
const create = (
  name: string,
  more: { token?: string; expiresAt?: number; replace?: boolean } = {},
  tenant = 'acme',
) => createToken(opened.context, tenant, { name, replace: false, ...more });
const names = async (tenant = 'acme') => (await listTokens(opened.context, tenant)).map(({ name }) => name);

test('a named token works beside the others, is kept as a hash only, and its end leaves the others', async () => {
  const token = await create('ci');
  expect(token).toMatch(/^mpt_/);
  expect(await whoHas(token)).toMatchObject({ tenantId: 'acme', tokenName: 'ci' });
  expect(await whoHas('acme-token')).toMatchObject({ tenantId: 'acme', tokenName: 'default' });
  const raw = closing(new Database(opened.path), (it) => it.close());
  expect(JSON.stringify(raw.prepare('SELECT * FROM tokens').all())).not.toContain(token);
  await revokeToken(opened.context, 'acme', 'ci');
  expect([await whoHas(token), await names()]).toEqual([undefined, ['default']]);
  expect(await whoHas('acme-token')).toBeDefined();
});

test('expires at its moment, not before, and can be told from a live one in a list', async () => {
  const expiresAt = opened.clock.now + 1000;
  const token = await create('short', { expiresAt });
  opened.clock.now = expiresAt - 1;
  expect(await whoHas(token)).toBeDefined();
  opened.clock.now = expiresAt;
  expect(await whoHas(token)).toBeUndefined();
  expect(await listTokens(opened.context, 'acme')).toContainEqual(
    expect.objectContaining({ name: 'short', expiresAt }),
  );
  await expect(create('late', { expiresAt })).rejects.toThrow(coded('validation_failed'));
});

test('the same name again is refused, unless it is said that the one before dies', async () => {
  const first = await create('ci', { expiresAt: opened.clock.now + 1000 });
  await expect(create('ci')).rejects.toThrow(coded('already_exists'));
  expect(await whoHas(first)).toBeDefined();
  const second = await create('ci', { replace: true });
  expect([await whoHas(first), (await whoHas(second))?.kind]).toEqual([undefined, 'tenant']);
  expect(await listTokens(opened.context, 'acme')).toContainEqual(
    expect.objectContaining({ name: 'ci', expiresAt: null, lastUsedAt: null }),
  );
});

test.each(['', ' ', 'a b', 'a/b', '../x', 'a\nb', 'é', 'x'.repeat(65), "'; DROP TABLE tokens; --"])(
  'the name %j is refused',
  async (name) => {
    await expect(create(name)).rejects.toThrow(coded('validation_failed'));
    expect(await names()).toEqual(['default']);
  },
);

describe('a chosen token', () => {
  test('that somebody has already is refused, be it the admin, another tenant or another name', async () => {
    for (const token of ['the admin token', 'globex-token', 'acme-token']) {
      await expect(create('ci', { token })).rejects.toThrow(coded('already_exists'));
      await expect(putTenant(opened.context, 'third', {}, { token }, 'create')).rejects.toThrow(
        coded('already_exists'),
      );
    }
    expect(await whoHas('the admin token')).toEqual({ kind: 'admin' });
    expect(await whoHas('globex-token')).toMatchObject({ tenantId: 'globex' });
    expect(await names()).toEqual(['default']);
  });

  test.each(['', 'x'.repeat(513), 'é'.repeat(257)])('of an impossible length is refused', async (token) => {
    await expect(create('ci', { token })).rejects.toThrow(coded('validation_failed'));
  });
});

test('nobody’s token is another tenant’s to see or revoke', async () => {
  await create('ci');
  await expect(revokeToken(opened.context, 'globex', 'ci')).rejects.toThrow(coded('not_found'));
  expect(await names('globex')).toEqual(['default']);
  for (const act of [
    () => create('x', {}, 'ghost'),
    () => revokeToken(opened.context, 'ghost', 'ci'),
    () => listTokens(opened.context, 'ghost'),
  ]) {
    await expect(act()).rejects.toThrow(coded('tenant_not_found'));
  }
  expect(await names()).toEqual(['ci', 'default']);
});

test('the tokens of a deleted tenant are dead', async () => {
  const token = await create('ci');
  await opened.store.tenants.delete(tenantScope('acme'), by(NOON));
  expect([await whoHas(token), await whoHas('acme-token')]).toEqual([undefined, undefined]);
});

describe('the admin token', () => {
  test('is replaced by a new one, the old is dead at once', async () => {
    const token = await rotateAdminToken(opened.context);
    expect(token).toMatch(/^mpa_/);
    expect([await whoHas(token), await whoHas('the admin token')]).toEqual([{ kind: 'admin' }, undefined]);
    expect(await opened.store.settings.get('admin_token_hash')).toBe(hashToken(token));
  });

  test('that comes from the environment is changed there: a new one would die at the next start', async () => {
    const settle = (given?: { token: string; fromEnvironment: boolean }) =>
      settleAdminToken(opened.store, given, { mayCreate: false, by: by(NOON) });
    await settle({ token: 'given by the environment', fromEnvironment: true });
    await expect(rotateAdminToken(opened.context)).rejects.toThrow(coded('token_missing'));
    expect(await whoHas('given by the environment')).toEqual({ kind: 'admin' });
    await settle({ token: 'given by a flag, once', fromEnvironment: false });
    await rotateAdminToken(opened.context);
    await settle({ token: 'given by the environment', fromEnvironment: true });
    await settle();
    await rotateAdminToken(opened.context);
  });
});

test('that a token was used is noted once a minute, and only of that token', async () => {
  const quiet = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: () => undefined,
  };
  const use = async (times: number) => {
    const audit = new AuthAudit({
      onWritten: () => undefined,
      store: opened.store,
      now: () => opened.clock.now,
      log: quiet,
    });
    const principal = await whoHas('acme-token');
    if (principal?.kind !== 'tenant') throw new Error('It is no tenant token.');
    const actor = {
      kind: 'tenant-token',
      tenantId: 'acme',
      tokenName: 'default',
      address: '192.0.2.1',
    } as const;
    for (let n = 0; n < times; n++) {
      opened.clock.now += 10;
      audit.succeeded(actor, 'acme/default', principal.tokenPk);
    }
    await audit.close();
  };
  await create('unused');
  const raw = closing(new Database(opened.path), (it) => it.close());
  raw.exec(
    'CREATE TABLE touches (n); CREATE TRIGGER touched AFTER UPDATE OF last_used_at ON tokens BEGIN INSERT INTO touches VALUES (1); END',
  );
  await use(100);
  expect(raw.prepare('SELECT COUNT(*) FROM touches').pluck().get()).toBe(1);
  expect(await listTokens(opened.context, 'acme')).toMatchObject([
    { name: 'default', lastUsedAt: expect.any(Number) },
    { name: 'unused', lastUsedAt: null },
  ]);
});

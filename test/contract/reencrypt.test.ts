import { randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { reencryptAll, verifySecrets } from '../../src/services/reencrypt.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
let raw: Database.Database;
let both: Keyring;
let next = '';
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  raw = closing(new Database(opened.path), (it) => it.close());
  const key = randomBytes(32);
  next = keyIdOf(key);
  both = new Keyring([{ id: next, key, source: 'new', kind: 'environment' }, ...opened.keyring.keys], next);
  for (const id of ['acme', 'globex']) {
    await opened.addTenant(id, `${id}-token`);
    await putTenant(
      opened.context,
      id,
      { clientBaseUrl: 'https://x.example', clientAuth: { method: 'bearer', token: id } },
      {},
      'update',
    );
    await putAccount(
      opened.context,
      id,
      'smtp1',
      { host: 'a.example.com', user: 'u', password: `of ${id}` },
      'add',
    );
  }
});
const ALL = 7;
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const swap = (table: string, column: string, where: string) =>
  raw.exec(
    `UPDATE ${table} SET ${column} = (SELECT ${column} FROM ${table} WHERE ${where} = 'globex') WHERE ${where} = 'acme'`,
  );

test('every kind of secret goes under the primary key and opens there alone, as the same', async () => {
  const before = await opened.store.accounts.list(tenantScope('acme'), { limit: 5 });
  await opened.store.keys.makePrimary(next, 'new', by(NOON));
  const progress: number[] = [];
  expect(await reencryptAll(opened.store, both, (done) => progress.push(done))).toBe(ALL);
  expect(progress.at(-1)).toBe(ALL);
  expect([...(await opened.store.secrets.countByKey())]).toEqual([[next, ALL]]);
  expect(await verifySecrets(opened.store, both.only(next))).toEqual({ checked: ALL, unreadable: [] });
  expect(await reencryptAll(opened.store, both, () => undefined)).toBe(0);
  expect(await opened.store.accounts.list(tenantScope('acme'), { limit: 5 })).toEqual(before);
});

test('one that was changed since it was read is left as it is', async () => {
  const [read] = await opened.store.secrets.notUnder(next, 1);
  if (read === undefined) throw new Error('There is no secret.');
  await putAccount(opened.context, 'acme', 'smtp1', { password: 'newer' }, 'update');
  expect(await opened.store.secrets.reseal([{ from: read, to: { value: 'ENC:stale', keyId: next } }])).toBe(
    0,
  );
  expect((await verifySecrets(opened.store, opened.keyring)).unreadable).toEqual([]);
});

test('without the primary key nothing is changed', async () => {
  const ring = new Keyring(opened.keyring.keys, next);
  await expect(reencryptAll(opened.store, ring, () => undefined)).rejects.toThrow(coded('key_missing'));
  expect([...(await opened.store.secrets.countByKey()).values()]).toEqual([ALL]);
});

describe('a secret that does not open is named, with the likely reason, and never taken along', () => {
  test.each<[string, string, () => unknown]>([
    [
      'a password of another tenant',
      'the password of account "smtp1" of tenant "acme"',
      () => swap('accounts', 'password', 'tenant_id'),
    ],
    [
      'a changed host',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET host = 'evil.example' WHERE tenant_id = 'acme'"),
    ],
    [
      'a port',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET port = 26 WHERE tenant_id = 'acme'"),
    ],
    [
      'TLS taken off',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET tls = 'none' WHERE tenant_id = 'acme'"),
    ],
    [
      'verification taken off',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET tls_verify = 0 WHERE tenant_id = 'acme'"),
    ],
    [
      'another authority',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET tls_ca = 'x' WHERE tenant_id = 'acme'"),
    ],
    [
      'another user',
      'the password of account "smtp1" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET user = 'v' WHERE tenant_id = 'acme'"),
    ],
    [
      'a renamed account',
      'the password of account "mine" of tenant "acme"',
      () => raw.exec("UPDATE accounts SET id = 'mine' WHERE tenant_id = 'acme'"),
    ],
    [
      'a webhook secret of another tenant',
      'the webhook secret of tenant "acme"',
      () => swap('tenants', 'webhook_secret', 'id'),
    ],
    [
      'a callback credential of another tenant',
      'the callback credential of tenant "acme"',
      () => swap('tenants', 'client_auth_secret', 'id'),
    ],
    [
      'a changed callback URL',
      'the callback credential of tenant "acme"',
      () => raw.exec("UPDATE tenants SET client_base_url = 'https://evil.example' WHERE id = 'acme'"),
    ],
    [
      'an edited audit key',
      'the key of audit chain 1',
      () => raw.exec("UPDATE audit_keys SET value = 'ENC:' || lower(substr(value, 5))"),
    ],
  ])('%s', async (_what, where, tamper) => {
    tamper();
    const { checked, unreadable } = await verifySecrets(opened.store, opened.keyring);
    expect([checked, unreadable]).toEqual([
      ALL,
      [expect.objectContaining({ what: where, reason: expect.stringMatching(/moved|edited/) })],
    ]);
    await opened.store.keys.makePrimary(next, 'new', by(NOON));
    await expect(reencryptAll(opened.store, both, () => undefined)).rejects.toThrow(
      coded('credential_unreadable'),
    );
    expect((await opened.store.secrets.countByKey()).get(opened.keyring.primaryId ?? '')).toBeGreaterThan(0);
  });

  test('a password in clear is none', async () => {
    const plain = () => raw.exec("UPDATE accounts SET password = 'in clear' WHERE tenant_id = 'acme'");
    expect(plain).toThrow(/CHECK/);
  });

  test('a missing key is told apart from a row that was moved', async () => {
    const other = new Keyring([], undefined);
    const { unreadable } = await verifySecrets(opened.store, other);
    expect(unreadable).toHaveLength(ALL);
    expect(new Set(unreadable.map(({ reason }) => reason))).toEqual(
      new Set([`key ${opened.keyring.primaryId} is not available`]),
    );
  });
});

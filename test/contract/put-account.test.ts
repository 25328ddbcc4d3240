import { randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import type { AccountInput } from '../../src/core/account-settings.js';
import { openPassword } from '../../src/crypto/account-password.js';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { type PutMode, putAccount } from '../../src/services/put-account.js';
import { tenantScope } from '../../src/store/scope.js';
import { testCertificates } from '../support/certificates.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';

const closing = useCleanup();
let opened: TestStore;
let raw: Database.Database;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  await opened.addTenant('acme', 'acme-token');
  await opened.addTenant('globex', 'globex-token');
  raw = closing(new Database(opened.store.path), (it) => it.close());
});

const coded = (code: string) => expect.objectContaining({ code });
const base: AccountInput = { host: 'smtp.example.com', user: 'u', password: 'hunter2' };
const put = (id: string | undefined, input: AccountInput, mode: PutMode = 'replace', tenant = 'acme') =>
  putAccount(opened.context, tenant, id, input, mode);
async function open(id = 'a', tenant = 'acme'): Promise<string | null> {
  const account = await opened.store.accounts.get(tenantScope(tenant), id);
  if (account === undefined) throw new Error('There is no such account.');
  return openPassword(opened.keyring, account);
}

describe('putting an account', () => {
  test('adds only what is new and updates only what is there', async () => {
    await expect(put('a', base, 'update')).rejects.toThrow(coded('account_not_found'));
    await put('a', base, 'add');
    await expect(put('a', base, 'add')).rejects.toThrow(coded('already_exists'));
    await expect(put('a', base, 'add', 'nobody')).rejects.toThrow(coded('tenant_not_found'));
    await expect(put('../a', base)).rejects.toThrow(coded('validation_failed'));
    expect((await put(undefined, base, 'add')).id).toBe('smtp1');
  });

  test('updating keeps what is not said, replacing takes defaults, and both keep the password', async () => {
    await put('a', { ...base, limitDay: 5, maxConnections: 9 });
    expect(await put('a', { limitHour: 1 }, 'update')).toMatchObject({
      limitDay: 5,
      maxConnections: 9,
      limitHour: 1,
    });
    expect(await open()).toBe('hunter2');
    const { password: _, ...withoutPassword } = base;
    expect(await put('a', withoutPassword)).toMatchObject({
      limitDay: null,
      maxConnections: 5,
      hasPassword: true,
    });
    expect(await open()).toBe('hunter2');
  });

  test('replacing the default account leaves it the default, unless that is said', async () => {
    await put('a', base);
    await put('b', base);
    expect((await put('a', base)).isDefault).toBe(true);
    expect((await put('a', { ...base, isDefault: false })).isDefault).toBe(false);
  });

  test('records whether the operator or the tenant itself set it', async () => {
    expect((await put('a', base)).setBy).toBe('operator');
    const actor = {
      kind: 'tenant-token',
      tenantId: 'acme',
      tokenName: 'default',
      address: '127.0.0.1',
    } as const;
    const byTenant = (changes: AccountInput) =>
      putAccount({ ...opened.context, actor }, 'acme', 'a', { ...base, ...changes }, 'replace');
    // Whoever chose the destination counts, not whoever changed something else since.
    expect((await byTenant({ limitDay: 5 })).setBy).toBe('operator');
    expect((await byTenant({ port: 2525 })).setBy).toBe('tenant');
    expect((await put('a', { ...base, port: 2525, limitDay: 6 })).setBy).toBe('tenant');
    expect((await put('a', { ...base, host: 'other.example.com' })).setBy).toBe('operator');
    expect((await byTenant({ host: 'third.example.com' })).setBy).toBe('tenant');
  });

  test('a refused change changes nothing', async () => {
    const before = await put('a', base);
    await expect(put('a', { ...base, port: 0 })).rejects.toThrow(coded('validation_failed'));
    await expect(put('a', { host: 'evil.example' }, 'update')).rejects.toThrow(coded('secret_required'));
    expect(await opened.store.accounts.get(tenantScope('acme'), 'a')).toMatchObject(before);
  });
});

describe('a stored password', () => {
  test.each<[string, (ca: string) => AccountInput]>([
    ['host', () => ({ host: 'evil.example' })],
    ['port', () => ({ port: 2525 })],
    ['TLS mode', () => ({ tls: 'none', port: 587 })],
    ['user', () => ({ user: 'other' })],
    ['verification', () => ({ tlsVerify: false })],
    ['authority', (ca) => ({ tlsCa: ca })],
  ])('does not follow a change of the %s: it must be sent again', async (_, change) => {
    const input = change((await testCertificates()).caPem);
    const { password: __, ...known } = base;
    await put('a', base);
    await expect(put('a', input, 'update')).rejects.toThrow(coded('secret_required'));
    await expect(put('a', { ...known, ...input })).rejects.toThrow(coded('secret_required'));
    const { credentialVersion } = await put('a', { ...input, password: 'new' }, 'update');
    expect(credentialVersion).toBe(2);
    expect(await open()).toBe('new');
  });

  test('is not dropped by leaving its user out of a replacement: only null takes a user away', async () => {
    await put('a', base);
    await expect(put('a', { host: 'evil.example', port: 25 })).rejects.toThrow(coded('secret_required'));
    expect(await open()).toBe('hunter2');
    expect((await put('a', { host: 'plain.example', user: null })).hasPassword).toBe(false);
  });

  test('follows the same host written otherwise', async () => {
    await put('a', base);
    await put('a', { host: 'SMTP.EXAMPLE.COM.' }, 'update');
    expect(await open()).toBe('hunter2');
  });

  test('is required with a user, and goes with the user', async () => {
    await expect(put('a', { host: 'h.example', user: 'u' })).rejects.toThrow(coded('secret_required'));
    await put('a', base);
    expect(await put('a', { user: null }, 'update')).toMatchObject({ hasPassword: false, user: null });
    expect(await open()).toBeNull();
    await expect(put('a', { user: 'u' }, 'update')).rejects.toThrow(coded('secret_required'));
  });

  test('pitfall 10: is sealed whatever it looks like, and nowhere in the file in clear', async () => {
    await put('b', { ...base, password: 'ENC:hunter2-hunter2' });
    const stored = raw.prepare("SELECT password FROM accounts WHERE id = 'b'").pluck().get() as string;
    expect(stored).toMatch(/^ENC:[A-Za-z0-9+/]+=*$/);
    expect(stored).not.toContain('hunter2');
    expect(await open('b')).toBe('ENC:hunter2-hunter2');
  });

  test('pitfall 12: does not open in another row, of the same tenant or another', async () => {
    await put('a', base);
    await put('b', { ...base, password: 'other' });
    await put('a', { ...base, password: 'other' }, 'replace', 'globex');
    raw.exec(
      "UPDATE accounts SET password = (SELECT password FROM accounts WHERE tenant_id = 'acme' AND id = 'a')",
    );
    expect(await open('a')).toBe('hunter2');
    await expect(open('b')).rejects.toThrow(coded('credential_unreadable'));
    await expect(open('a', 'globex')).rejects.toThrow(coded('credential_unreadable'));
  });

  test.each([
    "host = 'evil.example'",
    'port = 2525',
    "tls = 'none'",
    "user = 'other'",
    'tls_verify = 0',
    "tls_ca = 'PEM'",
  ])('does not open once the row says %s behind our back', async (change) => {
    await put('a', base);
    raw.exec(`UPDATE accounts SET ${change}`);
    await expect(open()).rejects.toThrow(coded('credential_unreadable'));
  });

  test('cannot be sealed by a process without the primary key, which says how to go on', async () => {
    const key = randomBytes(32);
    const other = { id: keyIdOf(key), key, source: 'x', kind: 'environment' as const };
    const context = { ...opened.context, keyring: new Keyring([other], opened.keyring.primaryId) };
    const failing = putAccount(context, 'acme', 'a', base, 'add');
    await expect(failing).rejects.toThrow(coded('key_missing'));
    expect(await opened.store.accounts.get(tenantScope('acme'), 'a')).toBeUndefined();
  });
});

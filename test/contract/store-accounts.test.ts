import { beforeEach, describe, expect, test } from 'vitest';
import type { AccountStore } from '../../src/store/accounts.js';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  by,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
  tenantChange,
} from '../support/temp-store.js';
import { watch } from '../support/watch.js';

const closing = useCleanup();
const acme = tenantScope('acme');
let temp: TempStore;
let accounts: AccountStore;
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  accounts = temp.store.accounts;
  for (const id of ['acme', 'globex']) {
    await temp.store.tenants.put(tenantScope(id), by(NOON), () => tenantChange());
  }
});

const coded = (code: string) => expect.objectContaining({ code });
const put = (
  id: string | undefined,
  changes: Parameters<typeof accountChange>[0] = {},
  scope: TenantScope = acme,
) => accounts.put(scope, id, by(NOON), () => accountChange(changes));
const isDefault = async (id: string) => (await accounts.get(acme, id))?.isDefault;

describe('accounts', () => {
  test('belong to a tenant that exists', async () => {
    await expect(put('a', {}, tenantScope('nobody'))).rejects.toThrow(coded('tenant_not_found'));
  });

  test('without an id take the first of smtp1, smtp2, … that is free', async () => {
    expect((await put(undefined)).id).toBe('smtp1');
    await put('smtp3');
    expect((await put(undefined)).id).toBe('smtp2');
    expect((await put(undefined)).id).toBe('smtp4');
    expect((await put(undefined, {}, tenantScope('globex'))).id).toBe('smtp1');
  });

  test('without an id are all different when made at once', async () => {
    const made = await Promise.all([put(undefined), put(undefined), put(undefined)]);
    expect(made.map(({ id }) => id)).toEqual(['smtp1', 'smtp2', 'smtp3']);
  });

  test('are stored whole and listed without the password', async () => {
    const change = accountChange({
      host: 'h.example',
      port: 25,
      tls: 'none',
      tlsVerify: false,
      tlsCa: 'PEM',
      user: 'u',
      password: { value: 'ENC:AAAA', keyId: 'k1' },
      limitMinute: 1,
      limitHour: 2,
      limitDay: 3,
      limitBehavior: 'reject',
      maxConnections: 7,
      fromAddress: 'a@example.com',
      isDefault: true,
      setBy: 'tenant',
    });
    const made = await accounts.put(acme, 'a', by(NOON), () => change);
    expect(await accounts.get(acme, 'a')).toEqual({ ...made, password: { value: 'ENC:AAAA', keyId: 'k1' } });
    expect(await accounts.get(acme, 'a')).toMatchObject(change);
    expect(JSON.stringify([made, await accounts.list(acme, { limit: 9 })])).not.toContain('ENC:');
    expect(await accounts.getForDispatch(made.pk)).toMatchObject({ id: 'a', tenantId: 'acme' });
  });

  test('pitfall 9: a password that is not sealed cannot be stored', async () => {
    await expect(put('a', { user: 'u', password: { value: 'hunter2', keyId: 'k' } })).rejects.toThrow();
    expect(await accounts.get(acme, 'a')).toBeUndefined();
  });

  test('have a new credential version for whatever a connection depends on, and for nothing else', async () => {
    const secret = (value: string) => ({ value, keyId: 'k' });
    const base = { user: 'u', password: secret('ENC:AAAA') };
    let version = (await put('a', base)).credentialVersion;
    for (const same of [{ limitDay: 1 }, { fromAddress: 'a@x.example' }, { setBy: 'tenant' as const }]) {
      expect((await put('a', { ...base, ...same })).credentialVersion).toBe(version);
    }
    for (const changed of [
      { host: 'other.example' },
      { port: 25 },
      { tls: 'none' as const },
      { tlsVerify: false },
      { tlsCa: 'PEM' },
      { user: 'v' },
      { password: secret('ENC:BBBB') },
    ]) {
      const next = (await put('a', { ...base, ...changed })).credentialVersion;
      expect(next).toBeGreaterThan(version);
      version = (await put('a', base)).credentialVersion;
      expect(version).toBeGreaterThan(next);
    }
  });
});

describe('the default account', () => {
  test('is the only one, and stays it when others are added', async () => {
    await put('a');
    expect(await isDefault('a')).toBe(true);
    await put('b');
    expect((await accounts.getDefault(acme))?.id).toBe('a');
  });

  test('is one at a time', async () => {
    await put('a');
    await put('b', { isDefault: true });
    expect([await isDefault('a'), await isDefault('b')]).toEqual([false, true]);
  });

  test('is none when several are there and none is marked', async () => {
    await put('a');
    await put('b');
    await put('a', { isDefault: false });
    expect(await accounts.getDefault(acme)).toBeUndefined();
    expect(await accounts.getDefault(tenantScope('globex'))).toBeUndefined();
  });

  test('is the one that is left, and adding another does not take that from it', async () => {
    await put('a');
    await put('b');
    await accounts.delete(acme, 'a', by(NOON), { failWaiting: false });
    expect(await isDefault('b')).toBe(true);
    await put('c');
    expect((await accounts.getDefault(acme))?.id).toBe('b');
  });
});

describe('deleting an account', () => {
  const remove = (failWaiting: boolean) => accounts.delete(acme, 'a', by(NOON + 1), { failWaiting });

  test('is refused while messages wait for it', async () => {
    await put('a');
    await temp.store.queue.enqueue(acme, [newMessage('m1'), newMessage('m2')], NOON);
    await expect(remove(false)).rejects.toThrow(coded('account_in_use'));
    expect(await accounts.get(acme, 'a')).toBeDefined();
  });

  test('by force ends what waits in error, and says why', async () => {
    await put('a');
    const later = newMessage('m2', { deferredAt: NOON + 1000 });
    await temp.store.queue.enqueue(acme, [newMessage('m1'), later], NOON);
    expect(await remove(true)).toBe(true);
    for (const id of ['m1', 'm2']) {
      expect(await temp.store.messages.get(acme, id)).toMatchObject({
        status: 'error',
        errorAt: NOON + 1,
        error: expect.stringContaining('account a was deleted'),
        recipients: [{ state: 'error' }],
      });
    }
    expect(await remove(true)).toBe(false);
  });

  test('by force goes on in short transactions, however many messages wait', async () => {
    await put('a');
    const many = Array.from({ length: 1200 }, (_, n) => newMessage(`m${n}`));
    await temp.store.queue.enqueue(acme, many, NOON);
    const failed = temp.raw.prepare("SELECT COUNT(*) FROM messages WHERE state = 'error'").pluck();
    const steps = await watch(remove(true), () => failed.get());
    expect([...steps]).toEqual([0, 500, 1000, 1200]);
    expect(await accounts.get(acme, 'a')).toBeUndefined();
  });

  test('while a message is being sent lets that end, and never leaves it waiting for nobody', async () => {
    const { pk } = await put('a');
    await temp.store.queue.enqueue(acme, [newMessage('m1'), newMessage('m2')], NOON);
    const lane = { accountPk: pk, tenantId: 'acme' };
    const { claims } = await temp.store.claims.claimDue(lane, {
      limit: 2,
      owner: 'o',
      now: NOON,
      leaseMs: 1,
    });
    await remove(true);
    const [first, second] = claims;
    const settle = (
      claim: (typeof claims)[number] | undefined,
      next: { kind: 'final' } | { kind: 'retry'; dueAt: number; error: string },
    ) =>
      temp.store.claims.settle(
        { pk: claim?.pk ?? 0, claim: claim?.claim ?? 0, recipients: [], next },
        NOON + 2,
      );
    await settle(first, { kind: 'final' });
    await settle(second, { kind: 'retry', dueAt: NOON + 60_000, error: 'later' });
    expect(await temp.store.messages.get(acme, 'm1')).toMatchObject({ status: 'sent' });
    expect(await temp.store.messages.get(acme, 'm2')).toMatchObject({
      status: 'error',
      error: expect.stringContaining('account a was deleted'),
    });
  });

  test('touches no account of the same id in another tenant', async () => {
    await put('a');
    await put('a', {}, tenantScope('globex'));
    await temp.store.queue.enqueue(tenantScope('globex'), [newMessage('m1')], NOON);
    expect(await remove(true)).toBe(true);
    expect(await accounts.get(tenantScope('globex'), 'a')).toBeDefined();
    expect((await temp.store.messages.get(tenantScope('globex'), 'm1'))?.status).toBe('pending');
  });
});

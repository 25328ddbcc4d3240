import { beforeEach, describe, expect, test } from 'vitest';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  addLane,
  by,
  keptCounters,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
  tenantChange,
} from '../support/temp-store.js';
import { watch } from '../support/watch.js';

const closing = useCleanup();
let temp: TempStore;
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
});

const acme = tenantScope('acme');
const sealed = { value: 'ENC:AAAA', keyId: 'k1' };

describe('tenants', () => {
  test('are stored whole, listed without their secrets, and changed in place', async () => {
    const change = tenantChange({
      name: 'ACME',
      clientBaseUrl: 'https://a.example.com',
      clientAuthMethod: 'basic',
      clientAuthUser: 'u',
      clientAuthSecret: sealed,
      webhookSecret: sealed,
      limitHourly: 1,
      limitDaily: 2,
      onUncertain: 'hold',
      useGlobalSync: true,
      attachmentRoots: ['/srv'],
    });
    const made = await temp.store.tenants.put(acme, by(NOON), () => change);
    expect(made).toMatchObject({ id: 'acme', hasWebhookSecret: true, createdAt: NOON, updatedAt: NOON });
    expect(JSON.stringify(made)).not.toContain('ENC:');
    expect(await temp.store.tenants.get(acme)).toMatchObject(change.tenant);
    await temp.store.tenants.put(acme, by(NOON + 1), (current) => {
      expect(current).toMatchObject({ name: 'ACME', webhookSecret: sealed });
      return tenantChange({ name: 'Other', active: false });
    });
    const [listed] = await temp.store.tenants.listAll({ limit: 9, activeOnly: false });
    expect(listed).toMatchObject({ name: 'Other', active: false, createdAt: NOON, updatedAt: NOON + 1 });
    expect(listed).not.toHaveProperty('webhookSecret');
    expect(await temp.store.tenants.listAll({ limit: 9, activeOnly: true })).toEqual([]);
  });

  test('are paged in order of their id', async () => {
    for (const id of ['b', 'a', 'C', 'c']) {
      await temp.store.tenants.put(tenantScope(id), by(NOON), () => tenantChange());
    }
    const page = async (after?: string) =>
      (
        await temp.store.tenants.listAll({
          limit: 2,
          activeOnly: false,
          ...(after === undefined ? {} : { after }),
        })
      ).map(({ id }) => id);
    expect(await page()).toEqual(['C', 'a']);
    expect(await page('a')).toEqual(['b', 'c']);
    expect(await page('c')).toEqual([]);
  });

  test('a change that throws changes nothing', async () => {
    await temp.store.tenants.put(acme, by(NOON), () => tenantChange({ name: 'before' }));
    const failing = temp.store.tenants.put(acme, by(NOON), () => {
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await temp.store.tenants.get(acme)).toMatchObject({ name: 'before' });
  });

  test('what is not sealed cannot be stored as a secret', async () => {
    const plain = { value: 'hunter2', keyId: 'k1' };
    await expect(
      temp.store.tenants.put(acme, by(NOON), () => tenantChange({ webhookSecret: plain })),
    ).rejects.toThrow();
    expect(await temp.store.tenants.get(acme)).toBeUndefined();
  });

  test('no two may have the same token; a new one takes the place of the old', async () => {
    const withToken = (hash: string, expiresAt: number | null = null) => ({
      ...tenantChange(),
      token: { hash, expiresAt },
    });
    await temp.store.tenants.put(acme, by(NOON), () => withToken('h1', 5));
    const clash = temp.store.tenants.put(tenantScope('globex'), by(NOON), () => withToken('h1'));
    await expect(clash).rejects.toThrow(expect.objectContaining({ code: 'already_exists' }));
    expect(await temp.store.tenants.get(tenantScope('globex'))).toBeUndefined();
    expect(await temp.store.tokens.findByHash('h1')).toMatchObject({
      tenantId: 'acme',
      name: 'default',
      expiresAt: 5,
      tenantActive: true,
    });
    await temp.store.tenants.put(acme, by(NOON), () => withToken('h2'));
    expect(await temp.store.tokens.findByHash('h1')).toBeUndefined();
    expect(await temp.store.tokens.list(tenantScope('acme'))).toHaveLength(1);
    await temp.store.tenants.put(acme, by(NOON), () => tenantChange({ active: false }));
    expect(await temp.store.tokens.findByHash('h2')).toMatchObject({ tenantActive: false, expiresAt: null });
  });

  test('leave nothing behind: an id that is used again starts anew', async () => {
    const { scope, lane } = await addLane(temp.store, 'acme', { limitDay: 9 }, { limitDaily: 1 });
    const other = await addLane(temp.store, 'globex', { limitDay: 9 });
    for (const it of [scope, other.scope]) await temp.store.queue.enqueue(it, [newMessage('m')], NOON);
    const options = { limit: 9, owner: 'o', now: NOON, leaseMs: 1000 };
    for (const it of [lane, other.lane]) await temp.store.claims.claimDue(it, options);
    expect(await temp.store.tenants.delete(scope, by(NOON))).toBe(true);
    expect(await temp.store.tenants.delete(scope, by(NOON))).toBe(false);
    for (const table of ['accounts', 'messages', 'message_counts', 'tokens']) {
      expect(temp.raw.prepare(`SELECT COUNT(*) FROM ${table} WHERE tenant_id = 'acme'`).pluck().get()).toBe(
        0,
      );
    }
    expect(temp.raw.prepare('SELECT COUNT(*) FROM message_contents').pluck().get()).toBe(1);
    expect(temp.raw.prepare('SELECT COUNT(*) FROM recipients').pluck().get()).toBe(1);
    expect(temp.raw.prepare('SELECT scope FROM rate_charges').pluck().all()).toEqual([
      `a:${other.lane.accountPk}`,
    ]);
    expect(Object.values(keptCounters(temp.raw))).toEqual([1]);
    const again = await addLane(temp.store, 'acme', {}, { limitDaily: 1 });
    await temp.store.queue.enqueue(again.scope, [newMessage('m')], NOON);
    expect((await temp.store.claims.claimDue(again.lane, options)).claims).toHaveLength(1);
  });

  test('go in short transactions, inactive from the first on', async () => {
    const { scope, lane } = await addLane(temp.store, 'acme');
    const many = Array.from({ length: 1200 }, (_, n) => newMessage(`m${n}`));
    await temp.store.queue.enqueue(scope, many, NOON);
    const look = temp.raw.prepare(
      "SELECT (SELECT COUNT(*) FROM messages) || (SELECT iif(active, ' active', ' inactive') FROM tenants)",
    );
    const steps = await watch(temp.store.tenants.delete(scope, by(NOON)), () => look.pluck().get());
    expect([...steps]).toEqual([
      '1200 active',
      '1200 inactive',
      '700 inactive',
      '200 inactive',
      '0 inactive',
      null,
    ]);
    expect(
      await temp.store.claims.claimDue(lane, { limit: 1, owner: 'o', now: NOON, leaseMs: 1 }),
    ).toMatchObject({
      claims: [],
    });
  });

  test('every change of configuration moves the generation, sending does not', async () => {
    const { settings, tenants, accounts, queue, claims } = temp.store;
    const seen: number[] = [];
    const look = async () => void seen.push(await settings.generation());
    await look();
    const { scope, lane } = await addLane(temp.store, 'acme');
    await look();
    await settings.set('port', '1', by(NOON));
    await look();
    await accounts.delete(scope, 'smtp1', by(NOON), { failWaiting: false });
    await look();
    await tenants.delete(scope, by(NOON));
    await look();
    expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
    const second = await addLane(temp.store, 'globex');
    const before = await settings.generation();
    await queue.enqueue(second.scope, [newMessage('m')], NOON);
    await claims.claimDue(second.lane, { limit: 1, owner: 'o', now: NOON, leaseMs: 1 });
    expect(await settings.generation()).toBe(before);
    expect(lane).not.toEqual(second.lane);
  });
});

import { monitorEventLoopDelay } from 'node:perf_hooks';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { enqueueMessages, type MessageBatch } from '../../src/services/enqueue-messages.js';
import { putAccount } from '../../src/services/put-account.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';

const closing = useCleanup();
let opened: TestStore;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  for (const id of ['acme', 'globex']) {
    await opened.addTenant(id, `${id}-token`);
    await putAccount(
      opened.context,
      id,
      'smtp1',
      { host: 'h.example', fromAddress: `${id}@example.com` },
      'add',
    );
  }
});

const message = (id: string, changes: object = {}) => ({
  id,
  to: 'b@example.org',
  subject: id,
  text: 'x',
  ...changes,
});
const enqueue = (messages: unknown[], changes: Partial<MessageBatch> = {}) =>
  enqueueMessages(
    opened.context,
    { messages, defaultPriority: undefined, tenantId: 'acme', anyTenant: false, ...changes },
    2,
  );
const get = (id: string, tenant = 'acme') => opened.store.messages.get(tenantScope(tenant), id);

describe('a batch', () => {
  test('stores the good and names the bad, each with its reason', async () => {
    const result = await enqueue([
      message('good'),
      message('nobody', { to: [] }),
      'nonsense',
      message('account', { account_id: 'other' }),
      message('unknown', { surprise: 1 }),
      message('late', { expires_ts: 1 }),
      { to: 'b@example.org' },
    ]);
    expect(result).toMatchObject({ queued: 1, tenantIds: ['acme'] });
    expect(Object.fromEntries(result.rejected.map(({ id, code }) => [id ?? 'null', code]))).toEqual({
      nobody: 'validation_failed',
      null: 'validation_failed',
      account: 'unknown_account',
      unknown: 'validation_failed',
      late: 'validation_failed',
    });
    expect(result.rejected).toHaveLength(6);
    expect(result.rejected.every(({ reason }) => reason.length > 10)).toBe(true);
  });

  test('gives the author of the account to messages without one, and the priority to those without one', async () => {
    await enqueue([message('a'), message('b', { priority: 'low', from: 'x@example.com' })], {
      defaultPriority: 'high',
    });
    expect([(await get('a'))?.priority, (await get('b'))?.priority]).toEqual([1, 3]);
    const raw = closing(new Database(opened.store.path), (it) => it.close());
    expect(raw.prepare('SELECT envelope_from FROM messages ORDER BY pk').pluck().all()).toEqual([
      'acme@example.com',
      'x@example.com',
    ]);
  });

  test('with an id twice keeps the last of them', async () => {
    await enqueue([message('same', { subject: 'one' }), message('same', { subject: 'two' })]);
    expect((await get('same'))?.subject).toBe('two');
  });

  test('of nothing but bad messages stores nothing and wakes nobody', async () => {
    expect(await enqueue([message('a', { to: 'nobody' })])).toMatchObject({ queued: 0, tenantIds: [] });
  });
});

test('a very large batch leaves the event loop to others: a timer keeps firing, when it is refused too', async () => {
  const MANY = 150;
  const to = Array.from({ length: 1000 }, (_, n) => `r${n}@example.org`);
  const many = Array.from({ length: MANY }, (_, n) => message(`m${n}`, { to }));
  for (const changes of [{}, { subject: 'a\nb' }]) {
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const { queued } = await enqueue(many.map((it) => ({ ...it, ...changes })));
    delay.disable();
    expect(queued).toBe(changes.subject === undefined ? MANY : 0);
    expect(delay.count).toBeGreaterThan(5);
    expect(delay.max / 1e6).toBeLessThan(500);
  }
});

describe('the tenant of a message', () => {
  test("pitfall 1: a tenant's token may name no other, and then nothing of the batch is stored", async () => {
    const failing = enqueue([message('mine'), message('theirs', { tenant_id: 'globex' })]);
    await expect(failing).rejects.toThrow(expect.objectContaining({ code: 'tenant_mismatch', status: 401 }));
    expect(await get('mine')).toBeUndefined();
    await expect(enqueue([message('x', { tenant_id: 7 })])).rejects.toThrow();
    expect(
      (await enqueue([message('y', { tenant_id: 'acme' }), message('z', { tenant_id: null })])).queued,
    ).toBe(2);
  });

  test('an admin who names one for the batch and another in a message is refused that message', async () => {
    const result = await enqueue([message('a'), message('b', { tenant_id: 'globex' })], { anyTenant: true });
    expect(result).toMatchObject({ queued: 1, rejected: [{ id: 'b', code: 'tenant_mismatch' }] });
    expect(await get('b', 'globex')).toBeUndefined();
  });

  test('an admin may name any, message by message', async () => {
    const result = await enqueue(
      [
        message('a', { tenant_id: 'acme' }),
        message('a', { tenant_id: 'globex' }),
        message('b', { tenant_id: 'nobody' }),
        message('c'),
      ],
      { tenantId: undefined, anyTenant: true },
    );
    expect(result.queued).toBe(2);
    expect(result.tenantIds.sort()).toEqual(['acme', 'globex']);
    expect(result.rejected).toEqual([
      expect.objectContaining({ id: 'c', code: 'validation_failed' }),
      expect.objectContaining({ id: 'b', code: 'tenant_not_found' }),
    ]);
    expect(await get('a', 'globex')).toMatchObject({ tenantId: 'globex' });
  });
});

test('what could not be written is not acknowledged', async () => {
  const raw = closing(new Database(opened.store.path), (it) => it.close());
  await opened.store.close();
  await expect(enqueue([message('a')])).rejects.toThrow();
  expect(raw.prepare('SELECT COUNT(*) FROM messages').pluck().get()).toBe(0);
});

import { beforeEach, describe, expect, test } from 'vitest';
import { listMessages } from '../../src/services/list-messages.js';
import { createReleaseSuspended } from '../../src/store/release-suspended.js';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { statementCache } from '../../src/store/statements.js';
import { batchIsSuspended, tenantIsSuspended } from '../../src/store/suspended-sql.js';
import { useCleanup } from '../support/cleanup.js';
import {
  addLane,
  by,
  countedBySqlite,
  keptCounters,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
  tenantChange,
} from '../support/temp-store.js';

const closing = useCleanup();
let temp: TempStore;
let scope: TenantScope;
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  ({ scope } = await addLane(temp.store, 'acme'));
});

const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
  temp.store.queue.enqueue(
    scope,
    messages.map((it) => newMessage(...it)),
    NOON,
  );
const suspend = (batchCode?: string, now = NOON) => temp.store.suspensions.suspend(scope, batchCode, by(now));
const activate = (batchCode?: string, keepBatches = false) =>
  temp.store.suspensions.activate(scope, batchCode === undefined ? { keepBatches } : { batchCode }, by(NOON));
/** Parks ready messages of a batch as the dispatcher does when it meets them. */
const park = (batchCode: string) =>
  temp.raw
    .prepare(`UPDATE messages SET state = 'suspended' WHERE batch_code = ? AND state = 'ready'`)
    .run(batchCode);
const release = (limit: number, now = NOON) =>
  createReleaseSuspended(statementCache(temp.raw as never))(now, limit);
const status = async (id: string) => (await temp.store.messages.get(scope, id))?.status;
const stateOf = (id: string) =>
  (temp.raw.prepare('SELECT state FROM messages WHERE id = ?').get(id) as { state: string }).state;
const rows = () => temp.raw.prepare('SELECT batch_code, released_at FROM suspensions ORDER BY 1').all();
const events = () =>
  temp.raw.prepare("SELECT event, subject FROM audit_events WHERE event LIKE 'sending.%' ORDER BY seq").all();

/** Ids by every filter, which must be what each message is shown as. */
async function listed(tenant: string | null = 'acme'): Promise<Record<string, string[]>> {
  const tenantId = tenant ?? undefined;
  const result: Record<string, string[]> = {};
  for (const wanted of ['pending', 'deferred', 'suspended', 'sending', 'sent', 'error'] as const) {
    const { items } = await listMessages(temp, tenantId, { status: wanted }, { limit: 100 });
    expect(items.every((item) => item.status === wanted)).toBe(true);
    if (items.length > 0) result[wanted] = items.map(({ id }) => id);
  }
  const { items } = await listMessages(temp, tenantId, {}, { limit: 100 });
  for (const { id, status } of items) expect(result[status]).toContain(id);
  expect(Object.values(result).flat()).toHaveLength(items.length);
  return result;
}

describe('a suspended batch', () => {
  test('5: is that batch to the letter: neither q1 nor __ nor what has none', async () => {
    await enqueue(['a', { batchCode: 'Q1' }], ['b', { batchCode: 'q1' }], ['c', { batchCode: '__' }], ['d']);
    await suspend('Q1');
    expect(await listed()).toEqual({ suspended: ['a'], pending: ['d', 'c', 'b'] });
    await suspend('__');
    expect(await listed()).toEqual({ suspended: ['c', 'a'], pending: ['d', 'b'] });
    await suspend('%');
    expect(await listed()).toEqual({ suspended: ['c', 'a'], pending: ['d', 'b'] });
  });

  test('is shown as suspended before it is parked, when it waits, and after', async () => {
    await enqueue(['now', { batchCode: 'Q1' }], ['later', { batchCode: 'Q1', deferredAt: NOON + 60_000 }]);
    await suspend('Q1');
    expect(await listed()).toEqual({ suspended: ['later', 'now'] });
    expect((await temp.store.messages.get(scope, 'later'))?.nextAttemptAt).toBeNull();
    park('Q1');
    expect(await listed()).toEqual({ suspended: ['later', 'now'] });
    await activate('Q1');
    expect(await listed()).toEqual({ pending: ['now'], deferred: ['later'] });
  });

  test('is freed in steps, each to the state that its time asks for, and then forgotten', async () => {
    await enqueue(...Array.from({ length: 5 }, (_, i): [string, object] => [`m${i}`, { batchCode: 'Q1' }]), [
      'other',
      { batchCode: 'Q2' },
    ]);
    for (const batch of ['Q1', 'Q2']) {
      await suspend(batch);
      park(batch);
    }
    expect(release(10)).toBe(0);
    temp.raw.prepare("UPDATE messages SET due_at = ? WHERE id = 'm4'").run(NOON + 1);
    await activate('Q1');
    expect(release(2)).toBe(2);
    expect(['m0', 'm1', 'm2', 'other'].map(stateOf)).toEqual(['ready', 'ready', 'suspended', 'suspended']);
    expect(release(500)).toBeGreaterThan(0);
    expect(['m2', 'm3', 'm4', 'other'].map(stateOf)).toEqual(['ready', 'ready', 'waiting', 'suspended']);
    expect(rows()).toEqual([{ batch_code: 'Q2', released_at: null }]);
    expect(release(500)).toBe(0);
    expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
  });

  test('that is suspended again before it was freed stays parked', async () => {
    await enqueue(['a', { batchCode: 'Q1' }]);
    await suspend('Q1');
    park('Q1');
    await activate('Q1');
    expect(await suspend('Q1', NOON + 1)).toBe(true);
    expect(release(500)).toBe(0);
    expect([stateOf('a'), await status('a')]).toEqual(['suspended', 'suspended']);
  });

  test('takes what is queued for it, also in place of what is parked, and parks it at once', async () => {
    await enqueue(['a', { batchCode: 'Q1' }], ['b', { batchCode: 'Q1' }]);
    await suspend('Q1');
    park('Q1');
    expect(
      await enqueue(['a', { batchCode: 'Q1', subject: 'corrected' }], ['b'], ['c', { batchCode: 'Q1' }]),
    ).toMatchObject([
      { queued: true, replaced: true },
      { queued: true, replaced: true },
      { queued: true, replaced: false },
    ]);
    expect(['a', 'b', 'c'].map(stateOf)).toEqual(['suspended', 'ready', 'suspended']);
    expect(await temp.store.messages.get(scope, 'a')).toMatchObject({
      subject: 'corrected',
      status: 'suspended',
    });
    await activate('Q1');
    expect(release(500)).toBeGreaterThanOrEqual(2);
    expect(['a', 'c'].map(stateOf)).toEqual(['ready', 'ready']);
  });

  test('counts what of it is unsent', async () => {
    await enqueue(['a', { batchCode: 'Q1' }], ['b', { batchCode: 'Q1' }], ['c', { batchCode: 'q1' }]);
    temp.raw.prepare("UPDATE messages SET state = 'sent' WHERE id = 'a'").run();
    expect(await temp.store.messages.countUnsentOfBatch(scope, 'Q1')).toBe(1);
    expect(await temp.store.messages.countUnsentOfBatch(scope, 'none')).toBe(0);
  });
});

describe('a suspended tenant', () => {
  test('is shown in all that is unsent, and in nothing else', async () => {
    await addLane(temp.store, 'globex');
    await temp.store.queue.enqueue(tenantScope('globex'), [newMessage('theirs')], NOON);
    await enqueue(['a'], ['b', { deferredAt: NOON + 1 }], ['c'], ['d']);
    temp.raw.exec(
      "UPDATE messages SET state = 'sent' WHERE id = 'c'; UPDATE messages SET state = 'sending', handed_over = 1 WHERE id = 'd'",
    );
    await suspend();
    expect(await listed()).toEqual({ suspended: ['b', 'a'], sent: ['c'], sending: ['d'] });
    expect(await listed('globex')).toEqual({ pending: ['theirs'] });
    expect(await listed(null)).toEqual({
      suspended: ['b', 'a'],
      pending: ['theirs'],
      sent: ['c'],
      sending: ['d'],
    });
    await activate();
    expect(await listed()).toEqual({ pending: ['a'], deferred: ['b'], sent: ['c'], sending: ['d'] });
    expect(stateOf('b')).toBe('waiting');
  });

  test('5: is shown like one that is inactive', async () => {
    await enqueue(['a'], ['b', { deferredAt: NOON + 1 }]);
    await temp.store.tenants.put(scope, by(NOON), () => tenantChange({ active: false }));
    expect(await listed()).toEqual({ suspended: ['b', 'a'] });
    expect(await listed(null)).toEqual({ suspended: ['b', 'a'] });
  });

  test('takes the suspensions of its batches along when it is activated, unless they are to be kept', async () => {
    for (const batch of ['Q1', undefined, 'Q2']) expect(await suspend(batch)).toBe(true);
    expect(await temp.store.suspensions.list(scope)).toEqual({ wholeTenant: true, batches: ['Q1', 'Q2'] });
    expect(await activate(undefined, true)).toEqual([]);
    expect(await temp.store.suspensions.list(scope)).toEqual({ wholeTenant: false, batches: ['Q1', 'Q2'] });
    expect(await activate()).toEqual(['Q1', 'Q2']);
    expect(await temp.store.suspensions.list(scope)).toEqual({ wholeTenant: false, batches: [] });
  });

  test('does not let one batch be activated: nothing would be sent', async () => {
    await suspend('Q1');
    await suspend();
    await expect(activate('Q1')).rejects.toMatchObject({ code: 'tenant_suspended' });
    expect(await temp.store.suspensions.list(scope)).toEqual({ wholeTenant: true, batches: ['Q1'] });
  });

  test('has to exist', async () => {
    const ghost = tenantScope('ghost');
    await expect(temp.store.suspensions.suspend(ghost, undefined, by(NOON))).rejects.toMatchObject({
      code: 'tenant_not_found',
    });
    await expect(
      temp.store.suspensions.activate(ghost, { keepBatches: false }, by(NOON)),
    ).rejects.toMatchObject({ code: 'tenant_not_found' });
  });
});

test('each change is in the audit trail once, and what changes nothing is not', async () => {
  await suspend('Q1');
  expect(await suspend('Q1')).toBe(false);
  expect(await activate('Q2')).toEqual([]);
  await activate('Q1');
  await activate('Q1');
  await activate();
  await suspend();
  await suspend();
  await activate();
  expect(events()).toEqual([
    { event: 'sending.suspended', subject: 'Q1' },
    { event: 'sending.activated', subject: 'Q1' },
    { event: 'sending.suspended', subject: null },
    { event: 'sending.activated', subject: null },
  ]);
});

test('a tenant suspends a bounded number of batches', async () => {
  const insert = temp.raw.prepare("INSERT INTO suspensions VALUES ('acme', ?, 1, NULL)");
  for (let i = 0; i < 1000; i++) insert.run(`b${i}`);
  await expect(suspend('one more')).rejects.toMatchObject({ code: 'validation_failed' });
  expect(await suspend('b7')).toBe(false);
  expect(await suspend()).toBe(true);
});

test('a page of what is pending is found behind many thousands that are suspended', async () => {
  await enqueue(['oldest']);
  temp.raw
    .prepare(
      `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 11000)
       INSERT INTO messages (tenant_id, id, account_pk, account_id, state, priority, batch_code, subject, envelope_from,
         created_at, due_at, expires_at, attention_at)
       SELECT 'acme', 'bulk' || i, 1, 'smtp1', 'ready', 2, 'Q1', '', '', 1, 1, 9e15, 9e15 FROM n`,
    )
    .run();
  await suspend('Q1');
  const pending = await listMessages(temp, 'acme', { status: 'pending' }, { limit: 2 });
  expect(pending).toMatchObject({ items: [{ id: 'oldest' }], nextCursor: undefined });
  const first = await listMessages(temp, 'acme', { status: 'suspended' }, { limit: 1000 });
  expect(first.items).toHaveLength(1000);
  expect(first.nextCursor).toBe(String(first.items.at(-1)?.pk));
});

test('the conditions for statements agree with the list', async () => {
  await suspend('Q1');
  const ask = (batch: string | null) =>
    temp.raw
      .prepare(`SELECT ${tenantIsSuspended("'acme'")} AS tenant, ${batchIsSuspended("'acme'", '?')} AS batch`)
      .get(batch);
  expect(ask('Q1')).toEqual({ tenant: 0, batch: 1 });
  expect(ask('q1')).toEqual({ tenant: 0, batch: 0 });
  expect(ask(null)).toEqual({ tenant: 0, batch: 0 });
  await suspend();
  expect(ask(null)).toEqual({ tenant: 1, batch: 0 });
  expect(ask('')).toEqual({ tenant: 1, batch: 0 });
});

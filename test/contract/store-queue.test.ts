import { beforeEach, describe, expect, test } from 'vitest';
import { listMessages } from '../../src/services/list-messages.js';
import type { Settlement } from '../../src/store/claim-types.js';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  addLane,
  by,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
} from '../support/temp-store.js';
import { watch } from '../support/watch.js';

const closing = useCleanup();
let temp: TempStore;
let scope: TenantScope;
let lane: { accountPk: number; tenantId: string };
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  ({ scope, lane } = await addLane(temp.store, 'acme'));
});

const enqueue = (...messages: Parameters<typeof newMessage>[]) =>
  temp.store.queue.enqueue(
    scope,
    messages.map((it) => newMessage(...it)),
    NOON,
  );
const rejected = (code: string) => ({ queued: false, rejection: expect.objectContaining({ code }) });
const get = (id: string) => temp.store.messages.get(scope, id);

async function claimAndSettle(
  next: Settlement['next'] | undefined,
  states: Array<'sent' | 'error' | 'pending'> = [],
) {
  const { claims } = await temp.store.claims.claimDue(lane, {
    limit: 9,
    owner: 'o',
    now: NOON,
    leaseMs: 1000,
  });
  for (const { pk, claim } of claims) {
    const recipients = states.map((state, position) => ({ position, state, code: null, reply: null }));
    if (next !== undefined) await temp.store.claims.settle({ pk, claim, recipients, next }, NOON);
  }
}

describe('a message that is queued', () => {
  test('is stored whole, content apart', async () => {
    const content = Buffer.from([0, 1, 255]);
    const to = ['b@example.org', 'c@example.org'];
    const changes = { content, envelope: { from: '', to }, batchCode: 'Q1', priority: 0 as const };
    expect(await enqueue(['m1', changes])).toEqual([
      { queued: true, pk: expect.any(Number), replaced: false },
    ]);
    expect(await get('m1')).toMatchObject({
      id: 'm1',
      accountId: 'smtp1',
      status: 'pending',
      priority: 0,
      batchCode: 'Q1',
      createdAt: NOON,
      retryCount: 0,
      nextAttemptAt: null,
      recipients: to.map((address, position) => ({ address, position, state: 'pending' })),
    });
    const { claims } = await temp.store.claims.claimDue(lane, {
      limit: 1,
      owner: 'o',
      now: NOON,
      leaseMs: 1,
    });
    expect(claims).toMatchObject([{ content, contentKind: 'raw', envelopeFrom: '' }]);
  });

  test('waits for its time when it has one', async () => {
    await enqueue(['m1', { deferredAt: NOON + 1 }], ['m2', { deferredAt: NOON }]);
    expect(await get('m1')).toMatchObject({
      status: 'deferred',
      deferredAt: NOON + 1,
      nextAttemptAt: NOON + 1,
    });
    expect(await get('m2')).toMatchObject({ status: 'pending', nextAttemptAt: null });
  });

  test('needs a tenant that exists', async () => {
    const failing = temp.store.queue.enqueue(tenantScope('nobody'), [newMessage('m')], NOON);
    await expect(failing).rejects.toThrow(expect.objectContaining({ code: 'tenant_not_found' }));
  });
});

describe('the account of a message', () => {
  test('pitfall 22: one that is not there rejects that message alone', async () => {
    const results = await enqueue(['m1', { accountId: 'nope' }], ['m2'], ['m3', { accountId: 'smtp1' }]);
    expect(results).toEqual([
      rejected('unknown_account'),
      expect.objectContaining({ queued: true }),
      expect.objectContaining({ queued: true }),
    ]);
    expect(await get('m1')).toBeUndefined();
  });

  test('is the default when it names none', async () => {
    await temp.store.accounts.put(scope, 'other', by(NOON), () => accountChange({ isDefault: true }));
    await enqueue(['m1']);
    expect(await get('m1')).toMatchObject({ accountId: 'other' });
  });

  test('is none when several are there and none is the default, and the reason says that', async () => {
    await temp.store.accounts.put(scope, 'other', by(NOON), () => accountChange());
    await temp.store.accounts.put(scope, 'smtp1', by(NOON), () => accountChange());
    const [result] = await enqueue(['m1']);
    expect(result).toMatchObject(rejected('no_account'));
    expect(JSON.stringify(result)).toContain('none is its default');
  });

  test('is none when there is none', async () => {
    await temp.store.accounts.delete(scope, 'smtp1', by(NOON), { failWaiting: false });
    expect(await enqueue(['m1'])).toEqual([rejected('no_account')]);
  });
});

describe('the same id again', () => {
  test('replaces what is unsent, wherever it stands', async () => {
    await enqueue(['m1', { subject: 'old' }], ['m2', { deferredAt: NOON + 9 }]);
    expect(await enqueue(['m1', { subject: 'new' }], ['m2', { subject: 'now' }])).toEqual([
      expect.objectContaining({ queued: true, replaced: true }),
      expect.objectContaining({ queued: true, replaced: true }),
    ]);
    expect(await get('m1')).toMatchObject({ subject: 'new', status: 'pending' });
    expect(await get('m2')).toMatchObject({ subject: 'now', status: 'pending', deferredAt: null });
    expect(temp.raw.prepare('SELECT COUNT(*) FROM message_contents').pluck().get()).toBe(2);
  });

  test('replaces what is put off for a retry and what ended in error for all', async () => {
    await enqueue(['m1']);
    await claimAndSettle({ kind: 'retry', dueAt: NOON + 60_000, error: 'later' }, ['pending']);
    expect(await enqueue(['m1'])).toMatchObject([{ replaced: true }]);
    expect(await get('m1')).toMatchObject({ retryCount: 0, error: null });
    await claimAndSettle({ kind: 'error', error: 'no' });
    expect(await enqueue(['m1'])).toMatchObject([{ replaced: true }]);
  });

  test('is in_progress while it is being sent and while its outcome is uncertain', async () => {
    await enqueue(['m1']);
    await claimAndSettle(undefined);
    expect(await enqueue(['m1'])).toEqual([rejected('in_progress')]);
    temp.raw.exec("UPDATE messages SET state = 'uncertain'");
    expect(await enqueue(['m1'])).toEqual([rejected('in_progress')]);
  });

  test('is already_sent once any recipient was accepted, also when the rest failed or waits', async () => {
    const to = ['b@example.org', 'c@example.org'];
    const envelope = { from: 'a@example.com', to };
    await enqueue(['m1', { envelope }]);
    await claimAndSettle({ kind: 'final' }, ['sent', 'sent']);
    await enqueue(['m2', { envelope }]);
    await claimAndSettle({ kind: 'final' }, ['sent', 'error']);
    await enqueue(['m3', { envelope }]);
    await claimAndSettle({ kind: 'retry', dueAt: NOON + 60_000, error: 'later' }, ['sent', 'pending']);
    expect([await get('m1'), await get('m2'), await get('m3')].map((it) => it?.status)).toEqual([
      'sent',
      'error',
      'deferred',
    ]);
    expect(await enqueue(['m1'], ['m2'], ['m3'])).toEqual([1, 2, 3].map(() => rejected('already_sent')));
  });

  test('belongs to its tenant: another may use it too', async () => {
    const other = await addLane(temp.store, 'globex');
    await enqueue(['m1']);
    await temp.store.queue.enqueue(other.scope, [newMessage('m1', { subject: 'theirs' })], NOON);
    expect((await get('m1'))?.subject).toBe('m1');
    expect((await temp.store.messages.get(other.scope, 'm1'))?.subject).toBe('theirs');
  });
});

describe('lists', () => {
  test('are newest first, paged, and filtered exactly', async () => {
    await enqueue(
      ['m1', { batchCode: 'Q1' }],
      ['m2', { batchCode: 'q1' }],
      ['m3', { batchCode: '__' }],
      ['m4'],
    );
    const ids = async (filter: Parameters<typeof temp.store.messages.list>[1], before?: number, limit = 9) =>
      (
        await temp.store.messages.list(scope, filter, { limit, ...(before === undefined ? {} : { before }) })
      ).messages.map(({ id }) => id);
    expect(await ids({})).toEqual(['m4', 'm3', 'm2', 'm1']);
    expect(await ids({}, undefined, 2)).toEqual(['m4', 'm3']);
    expect(await ids({}, (await get('m3'))?.pk)).toEqual(['m2', 'm1']);
    // Pitfall 5: a batch code is compared as it is, never as a pattern.
    expect(await ids({ batchCode: 'Q1' })).toEqual(['m1']);
    expect(await ids({ batchCode: '__' })).toEqual(['m3']);
    expect(await ids({ status: 'sent' })).toEqual([]);
    expect(await ids({ accountId: 'smtp1', status: 'pending', activeOnly: true })).toHaveLength(4);
    await claimAndSettle({ kind: 'final' }, ['sent']);
    expect(await ids({ activeOnly: true })).toEqual([]);
    expect(await ids({ status: 'sent' })).toHaveLength(4);
    expect(await ids({ status: 'sent', activeOnly: true })).toEqual([]);
  });

  test('end a page early after many recipients, and say that others follow', async () => {
    const to = Array.from({ length: 1000 }, (_, n) => `r${n}@example.org`);
    const envelope = { from: '', to };
    await enqueue(...Array.from({ length: 12 }, (_, n): [string, object] => [`m${n}`, { envelope }]));
    const sizes: number[] = [];
    const seen: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page = { limit: 100, ...(cursor === undefined ? {} : { cursor }) };
      const { items, nextCursor } = await listMessages({ store: temp.store }, 'acme', {}, page);
      sizes.push(items.length);
      seen.push(...items.map(({ id }) => id));
      expect(items.every(({ recipients }) => recipients.length === 1000)).toBe(true);
      cursor = nextCursor;
      more = nextCursor !== undefined;
    }
    expect(sizes).toEqual([5, 5, 2]);
    expect(seen).toEqual(Array.from({ length: 12 }, (_, n) => `m${11 - n}`));
  });

  test('read an index in their order, with and without an account, however long the history is', () => {
    for (const [filter, index] of [
      ['', 'messages_by_tenant'],
      [" AND account_id = 'smtp1'", 'messages_by_account'],
    ]) {
      const plan = temp.raw
        .prepare(
          `EXPLAIN QUERY PLAN SELECT * FROM messages WHERE tenant_id = 'acme'${filter} ORDER BY pk DESC LIMIT 9`,
        )
        .all() as Array<{ detail: string }>;
      expect(plan.map(({ detail }) => detail).join()).toContain(index);
      expect(plan.map(({ detail }) => detail).join()).not.toContain('TEMP B-TREE');
    }
  });
});

test('a batch is written in short transactions, each message whole in one of them', async () => {
  const to = Array.from({ length: 900 }, (_, n) => `r${n}@example.org`);
  const batch = Array.from({ length: 10 }, (_, n) => newMessage(`m${n}`, { envelope: { from: '', to } }));
  const rows = temp.raw.prepare('SELECT COUNT(*) FROM recipients').pluck();
  const stored = temp.store.queue.enqueue(scope, batch, NOON);
  const commits = await watch(stored, () => rows.get() as number);
  expect((await stored).every(({ queued }) => queued)).toBe(true);
  expect([...commits]).toEqual([0, 1800, 3600, 5400, 7200, 9000]);
});

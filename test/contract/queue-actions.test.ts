import { beforeEach, describe, expect, test } from 'vitest';
import { LATE_AFTER_MS } from '../../src/core/late.js';
import { retryMatching, retryMessages } from '../../src/services/retry-messages.js';
import type { Settlement } from '../../src/store/claim-types.js';
import { type TenantScope, tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import {
  accountChange,
  addLane,
  by,
  countedBySqlite,
  keptCounters,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
} from '../support/temp-store.js';
import { watch } from '../support/watch.js';

const HOUR = 3_600_000;
const LIFETIME = 48 * HOUR;
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
const get = async (id: string) => {
  const found = await temp.store.messages.get(scope, id);
  if (found === undefined) throw new Error(`There is no message ${id}.`);
  return found;
};
const claim = async () =>
  (await temp.store.claims.claimDue(lane, { limit: 500, owner: 'o', now: NOON, leaseMs: 1000 })).claims;
/** Claims what is ready and settles it, the recipients in these states. */
async function settle(next: Settlement['next'], states: Array<'sent' | 'error' | 'pending'> = []) {
  for (const { pk, claim: number } of await claim()) {
    const recipients = states.map((state, position) => ({ position, state, code: 550, reply: '550 no' }));
    await temp.store.claims.settle({ pk, claim: number, recipients, next }, NOON);
  }
}
const two = { envelope: { from: 'a@example.com', to: ['b@example.org', 'c@example.org'] } };
const row = (id: string) =>
  temp.raw.prepare('SELECT * FROM messages WHERE id = ?').get(id) as Record<string, unknown>;
const history = (id: string) =>
  (
    temp.raw
      .prepare('SELECT type, data FROM message_events WHERE message_pk = ? ORDER BY pk')
      .all(row(id).pk) as Array<{ type: string; data: string }>
  ).map(({ type, data }) => ({ type, ...JSON.parse(data) }));
const audited = (event: string) =>
  (
    temp.raw.prepare('SELECT subject, detail FROM audit_events WHERE event = ?').all(event) as Array<{
      subject: string | null;
      detail: string;
    }>
  ).map(({ subject, detail }) => ({ subject, ...JSON.parse(detail) }));
const set = (id: string, assignments: string) =>
  temp.raw.exec(`UPDATE messages SET ${assignments} WHERE id = '${id}'`);
const context = (now = NOON) => ({ store: temp.store, actor: by(now).actor, now: () => now });

describe('deleting', () => {
  const remove = (...ids: string[]) => temp.store.deleteMessages(scope, ids, by(NOON));

  test('takes messages in every state but what the server may have, with all that belongs to them', async () => {
    await enqueue(['ready'], ['waiting', { deferredAt: NOON + 1 }], ['sent'], ['body'], ['held']);
    set('sent', "state = 'sent'");
    set('body', "state = 'sending', handed_over = 1");
    set('held', "state = 'uncertain', handed_over = 1");
    expect(await remove('ready', 'waiting', 'sent', 'body', 'held', 'none')).toEqual({
      removed: ['ready', 'waiting', 'sent'],
      notFound: ['none'],
      inProgress: ['body', 'held'],
    });
    const left = (table: string) =>
      (temp.raw.prepare(`SELECT COUNT(DISTINCT message_pk) AS n FROM ${table}`).get() as { n: number }).n;
    expect([left('recipients'), left('message_contents')]).toEqual([2, 2]);
    expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
    expect(audited('messages.deleted')).toEqual([
      { subject: null, count: 3, ids: ['ready', 'waiting', 'sent'] },
    ]);
  });

  test('a claimed one is never sent: its mark finds no row, its result is dropped, its charge given back', async () => {
    await enqueue(['m']);
    const [claimed] = await claim();
    if (claimed === undefined) throw new Error('Nothing was claimed.');
    const charges = () => temp.raw.prepare('SELECT * FROM rate_charges').all();
    expect(await remove('m')).toMatchObject({ removed: ['m'] });
    expect(await temp.store.claims.markHandedOver(claimed.pk, claimed.claim)).toBe(false);
    const settlement = { ...claimed, recipients: [], next: { kind: 'final' as const } };
    expect(await temp.store.claims.settle(settlement, NOON)).toBe(false);
    expect(charges()).toEqual([]);
    expect(await enqueue(['m'])).toMatchObject([{ queued: true }]);
  });

  test('is of one tenant', async () => {
    await addLane(temp.store, 'globex');
    await temp.store.queue.enqueue(tenantScope('globex'), [newMessage('theirs')], NOON);
    expect(await remove('theirs')).toEqual({ removed: [], notFound: ['theirs'], inProgress: [] });
    expect(audited('messages.deleted')).toEqual([]);
  });

  test('many go in several short transactions', async () => {
    const to = Array.from({ length: 100 }, (_, i) => `b${i}@example.org`);
    const ids = Array.from({ length: 60 }, (_, i) => `m${i}`);
    await enqueue(...ids.map((id): [string, object] => [id, { envelope: { from: 'a@example.com', to } }]));
    const count = () => (temp.raw.prepare('SELECT COUNT(*) AS n FROM messages').get() as { n: number }).n;
    const seen = await watch(remove(...ids), count);
    expect(seen.size).toBeGreaterThan(2);
    expect(count()).toBe(0);
  });
});

describe('resolving', () => {
  const resolve = (id: string, outcome: 'sent' | 'retry' | 'error', reason?: string, now = NOON) =>
    temp.store.resolveMessage(scope, id, { outcome, reason }, by(now));
  const uncertain = async (id: string, states: Array<'sent' | 'error' | 'pending'>) => {
    temp.raw.exec("UPDATE tenants SET on_uncertain = 'hold'");
    await enqueue([id, two]);
    await settle({ kind: 'uncertain', dueAt: NOON + 1, error: 'connection lost' }, states);
    expect((await get(id)).status).toBe('uncertain');
  };

  test('as sent: what was open is sent, and who was refused stays refused', async () => {
    await uncertain('all', ['pending', 'pending']);
    expect(await resolve('all', 'sent')).toBe('resolved');
    expect(await get('all')).toMatchObject({
      status: 'sent',
      sentAt: NOON,
      error: null,
      recipients: [{ state: 'sent' }, { state: 'sent' }],
    });
    await uncertain('some', ['error', 'pending']);
    expect(await resolve('some', 'sent')).toBe('resolved');
    expect(await get('some')).toMatchObject({
      status: 'error',
      error: 'Refused: b@example.org (550 no)',
      recipients: [{ state: 'error' }, { state: 'sent' }],
    });
    expect(row('some')).toMatchObject({ handed_over: 0, owner: null });
  });

  test('as error: given up, with the reason', async () => {
    await uncertain('m', ['sent', 'pending']);
    await resolve('m', 'error', 'Not in the log of the relay');
    expect(await get('m')).toMatchObject({
      status: 'error',
      errorAt: NOON,
      error: 'Not in the log of the relay',
      recipients: [{ state: 'sent' }, { state: 'error' }],
    });
  });

  test('as to be sent again: due now, to those without an outcome, with time left', async () => {
    await uncertain('m', ['sent', 'pending']);
    const later = NOON + LIFETIME + HOUR;
    await resolve('m', 'retry', undefined, later);
    expect(await get('m')).toMatchObject({ status: 'pending', expiresAt: later + LIFETIME });
    expect(row('m')).toMatchObject({ handed_over: 0, due_at: later, attention_at: later + LATE_AFTER_MS });
    const { claims } = await temp.store.claims.claimDue(lane, {
      limit: 1,
      owner: 'o',
      now: later,
      leaseMs: 1,
    });
    expect(claims).toMatchObject([{ recipients: [{ address: 'c@example.org' }] }]);
  });

  test('is in the history and in the audit trail', async () => {
    await uncertain('m', ['pending', 'pending']);
    await resolve('m', 'retry', 'Asked the postmaster');
    expect(history('m')).toContainEqual({
      type: 'resolved',
      outcome: 'retry',
      reason: 'Asked the postmaster',
      by: 'os-user',
    });
    expect(audited('message.resolved')).toEqual([
      { subject: 'm', outcome: 'retry', reason: 'Asked the postmaster' },
    ]);
  });

  test('is refused for anything else, and to send again what cannot be', async () => {
    await enqueue(['ready']);
    expect(await resolve('ready', 'sent')).toBe('not_uncertain');
    expect(await resolve('none', 'sent')).toBe('message_not_found');
    set('ready', "state = 'sent'");
    await uncertain('m', ['pending', 'pending']);
    temp.raw.exec(`DELETE FROM message_contents WHERE message_pk = ${row('m').pk}`);
    expect(await resolve('m', 'retry')).toBe('content_gone');
    set('m', 'account_pk = 99');
    expect(await resolve('m', 'retry')).toBe('account_not_found');
    expect((await get('m')).status).toBe('uncertain');
    expect(await resolve('m', 'error')).toBe('resolved');
    expect(audited('message.resolved')).toHaveLength(1);
  });
});

describe('trying again', () => {
  const retry = (...ids: string[]) => retryMessages(context(), 'acme', ids);

  test('one that ended in error goes to those that failed, afresh, and never to those that have it', async () => {
    await enqueue(['m', two]);
    await settle({ kind: 'final' }, ['sent', 'error']);
    set('m', `retry_count = 5, expires_at = ${NOON - 1}, cleanup_at = 7`);
    expect(await retry('m')).toMatchObject({ retried: 1, skipped: [] });
    expect(await get('m')).toMatchObject({
      status: 'pending',
      error: null,
      errorAt: null,
      retryCount: 0,
      expiresAt: NOON + LIFETIME,
      recipients: [{ state: 'sent' }, { state: 'pending', code: null, reply: null, at: null }],
    });
    expect(row('m')).toMatchObject({ attention_at: NOON + LATE_AFTER_MS, cleanup_at: null });
    expect(history('m')).toContainEqual({ type: 'retried', from: 'error', by: 'os-user' });
    expect(await claim()).toMatchObject([{ recipients: [{ address: 'c@example.org' }] }]);
    expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
  });

  test('time that is left is kept', async () => {
    await enqueue(['m', { expiresAt: NOON + HOUR }]);
    await settle({ kind: 'error', error: 'x' });
    await retry('m');
    expect(row('m')).toMatchObject({ expires_at: NOON + HOUR, attention_at: NOON + HOUR });
  });

  test('one that waits is due now; its retries still count, and that it is late is not said twice', async () => {
    await enqueue(['tried'], ['late']);
    await settle({ kind: 'retry', dueAt: NOON + HOUR, error: '451 later' });
    set('late', 'attention_at = expires_at');
    await enqueue(['scheduled', { deferredAt: NOON + 24 * HOUR }]);
    expect(await retry('tried', 'late', 'scheduled')).toMatchObject({ retried: 3 });
    expect(await get('tried')).toMatchObject({ status: 'pending', retryCount: 1, error: '451 later' });
    expect(row('tried')).toMatchObject({ due_at: NOON, attention_at: NOON + LATE_AFTER_MS });
    expect(row('late')).toMatchObject({ attention_at: NOON + LIFETIME });
    expect(row('scheduled')).toMatchObject({ state: 'ready', due_at: NOON });
  });

  test('all others are left as they are, each with the reason', async () => {
    await enqueue(['ready'], ['sent'], ['sending'], ['held'], ['parked', { batchCode: 'Q1' }]);
    await enqueue(['stopped', { batchCode: 'Q1', deferredAt: NOON + 1 }], ['empty'], ['orphan']);
    for (const [id, state] of Object.entries({ sent: 'sent', sending: 'sending', held: 'uncertain' }))
      set(id, `state = '${state}'`);
    for (const id of ['empty', 'orphan']) set(id, "state = 'error'");
    set('orphan', "account_pk = 99, account_id = 'gone'");
    temp.raw.exec(`DELETE FROM message_contents WHERE message_pk = ${row('empty').pk}`);
    await temp.store.suspensions.suspend(scope, 'Q1', by(NOON));
    set('parked', "state = 'suspended'");
    const before = temp.raw.prepare('SELECT * FROM messages').all();
    const result = await retry(
      'ready',
      'sent',
      'sending',
      'held',
      'parked',
      'stopped',
      'empty',
      'orphan',
      'none',
    );
    expect(result).toMatchObject({ retried: 0, not_found: ['none'], skipped_count: 8 });
    expect(Object.fromEntries(result.skipped.map(({ id, code }) => [id, code]))).toEqual({
      ready: 'pending',
      sent: 'already_sent',
      sending: 'in_progress',
      held: 'uncertain',
      parked: 'suspended',
      stopped: 'suspended',
      empty: 'content_gone',
      orphan: 'account_not_found',
    });
    expect(temp.raw.prepare('SELECT * FROM messages').all()).toEqual(before);
  });

  test('one whose account was deleted goes through the one that has its id now', async () => {
    await enqueue(['m']);
    await temp.store.accounts.delete(scope, 'smtp1', by(NOON), { failWaiting: true });
    const { pk } = await temp.store.accounts.put(scope, 'smtp1', by(NOON), () => accountChange());
    expect(await retry('m')).toMatchObject({ retried: 1 });
    expect(row('m')).toMatchObject({ account_pk: pk, state: 'ready' });
    expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
  });

  describe('all that fit', () => {
    beforeEach(async () => {
      await temp.store.accounts.put(scope, 'smtp2', by(NOON), () => accountChange());
      const some = (name: string, n: number, changes: object) =>
        Array.from({ length: n }, (_, i): [string, object] => [`${name}${i}`, changes]);
      await enqueue(
        ...some('a', 450, { accountId: 'smtp1', batchCode: 'Q1' }),
        ...some('b', 5, { accountId: 'smtp1', batchCode: 'q1' }),
        ...some('c', 5, { accountId: 'smtp2', batchCode: 'Q1' }),
      );
      temp.raw.exec("UPDATE messages SET state = 'error'; UPDATE recipients SET state = 'error'");
    });
    const errors = () =>
      (temp.raw.prepare("SELECT COUNT(*) AS n FROM messages WHERE state = 'error'").get() as { n: number }).n;

    test('are found by account and batch, and counted without a change', async () => {
      const filter = { status: 'error' as const, batchCode: 'Q1' };
      expect(await retryMatching(context(), 'acme', filter, { dryRun: true })).toMatchObject({
        retried: 455,
      });
      expect(errors()).toBe(460);
      const narrow = { ...filter, accountId: 'smtp2' };
      expect(await retryMatching(context(), 'acme', narrow)).toMatchObject({ retried: 5, next: undefined });
      expect(errors()).toBe(455);
    });

    test('go in steps of 200 at most, each told', async () => {
      const told: number[] = [];
      const onProgress = (examined: number) => told.push(examined);
      const run = retryMatching(context(), 'acme', { status: 'error' }, { onProgress });
      const seen = [...(await watch(run, errors))].sort((x, y) => y - x);
      expect(seen).toEqual([460, 260, 60, 0]);
      expect(told).toEqual([200, 400, 460]);
      expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
    });

    test('go on where a bounded call ended', async () => {
      const first = await retryMatching(context(), 'acme', { status: 'error' }, { mostExamined: 100 });
      expect(first).toMatchObject({ retried: 200, next: expect.any(Number) });
      const second = await retryMatching(
        context(),
        'acme',
        { status: 'error' },
        { after: first.next as number },
      );
      expect(second).toMatchObject({ retried: 260, next: undefined });
    });

    test('leave alone what waits for the time it was given', async () => {
      await enqueue(['scheduled', { accountId: 'smtp1', deferredAt: NOON + HOUR }]);
      await enqueue(['tried', { accountId: 'smtp1' }]);
      await settle({ kind: 'retry', dueAt: NOON + HOUR, error: '451 later' });
      expect(await retryMatching(context(), 'acme', { status: 'deferred' })).toMatchObject({
        retried: 1,
        skipped: [{ id: 'scheduled', code: 'scheduled' }],
      });
      expect((await get('scheduled')).status).toBe('deferred');
    });
  });
});

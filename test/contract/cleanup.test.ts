import { statSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { firstCleanupAt } from '../../src/core/retention.js';
import { CleanUp } from '../../src/daemon/clean-up.js';
import type { TenantScope } from '../../src/store/scope.js';
import { ACME, ADMIN, account, message, openTestApp } from '../support/http.js';
import { until } from '../support/processes.js';
import {
  addLane,
  countedBySqlite,
  keptCounters,
  NOON,
  newMessage,
  openTempStore,
  type TempStore,
} from '../support/temp-store.js';

const WEEK = 7 * 86_400_000;
const DAY = 86_400_000;

let temp: TempStore;
let scope: TenantScope;
let lane: { accountPk: number; tenantId: string };
beforeEach(async () => {
  temp = await openTempStore();
  ({ scope, lane } = await addLane(temp.store, 'acme'));
});
afterEach(() => temp.close());

/** Ends messages as settling does. */
function finish(state: 'sent' | 'error', at: number, which = '1'): void {
  temp.raw
    .prepare(
      `UPDATE messages SET state = ?, ${state}_at = ?, cleanup_at = ? WHERE state = 'ready' AND ${which}`,
    )
    .run(state, at, firstCleanupAt(state, at));
}
const count = (table: string): number =>
  (temp.raw.prepare(`SELECT COUNT(*) AS n FROM ${table}`).get() as { n: number }).n;
const enqueue = (ids: string[], bytes = 100) =>
  temp.store.queue.enqueue(
    scope,
    ids.map((id) => newMessage(id, { content: Buffer.alloc(bytes, 'x') })),
    NOON,
  );
const step = (now: number, retention = WEEK, limit = 100) =>
  temp.store.cleanup.cleanUp(now, retention, limit);

describe('the clean-up', () => {
  it('drops the content of what was sent at once, keeps that of what failed, and both rows for the retention time', async () => {
    await enqueue(['sent', 'failed', 'unsent']);
    finish('sent', NOON, "id = 'sent'");
    finish('error', NOON, "id = 'failed'");
    expect(await step(NOON)).toEqual({ handled: 2, removed: 0, nextAt: NOON + WEEK });
    const kept = temp.raw
      .prepare('SELECT id FROM messages JOIN message_contents ON message_pk = pk ORDER BY pk')
      .all();
    expect(kept).toEqual([{ id: 'failed' }, { id: 'unsent' }]);
    expect(await step(NOON + WEEK - 1)).toEqual({ handled: 0, removed: 0, nextAt: NOON + WEEK });
    expect(await step(NOON + WEEK)).toEqual({ handled: 2, removed: 2, nextAt: undefined });
    expect([count('messages'), count('message_contents'), count('recipients')]).toEqual([1, 1, 1]);
    expect(keptCounters(temp.raw)).toEqual(countedBySqlite(temp.raw));
  });

  it('takes recipients and history away with a message', async () => {
    await enqueue(['m1']);
    temp.raw.exec("INSERT INTO message_events (message_pk, type, at) SELECT pk, 'sent', 1 FROM messages");
    finish('sent', NOON);
    await step(NOON + WEEK);
    expect([count('messages'), count('recipients'), count('message_events')]).toEqual([0, 0, 0]);
  });

  it('never touches a message that was taken up again', async () => {
    await enqueue(['m1']);
    temp.raw.prepare('UPDATE messages SET cleanup_at = ?').run(NOON);
    expect(await step(NOON + WEEK)).toMatchObject({ removed: 0, nextAt: undefined });
    expect(count('message_contents')).toBe(1);
  });

  it('does no more in a step than it was told, and less where messages are heavy', async () => {
    await enqueue(Array.from({ length: 30 }, (_, i) => `m${i}`));
    finish('sent', NOON);
    expect(await step(NOON, WEEK, 12)).toMatchObject({ handled: 12 });
    await enqueue(['big1', 'big2', 'big3'], 3_000_000);
    finish('sent', NOON - 1);
    expect(await step(NOON)).toMatchObject({ handled: 1 });
  });

  it('follows a retention time that was made shorter', async () => {
    await enqueue(['m1']);
    finish('sent', NOON);
    await step(NOON);
    expect(await step(NOON + 2 * DAY, DAY)).toMatchObject({ handled: 1, removed: 1 });
  });

  it('follows one that was made longer', async () => {
    await enqueue(['m1']);
    finish('sent', NOON);
    await step(NOON, DAY);
    expect(await step(NOON + DAY, WEEK)).toEqual({ handled: 1, removed: 0, nextAt: NOON + WEEK });
  });

  it('forgets the charges of limits that nobody asks any more, scope by scope', async () => {
    const insert = temp.raw.prepare('INSERT INTO rate_charges VALUES (?, ?, ?, 1)');
    for (let i = 0; i < 130; i++) for (const of of ['a:1', 'a:2', 't:acme']) insert.run(of, NOON + i, i);
    insert.run('a:2', NOON + DAY + 1000, 999);
    let after: string | undefined = '';
    let steps = 0;
    while (after !== undefined && steps++ < 50)
      after = await temp.store.cleanup.forgetCharges(NOON + DAY + 500, after);
    expect(temp.raw.prepare('SELECT scope, message_pk FROM rate_charges').all()).toEqual([
      { scope: 'a:2', message_pk: 999 },
    ]);
  });

  it('keeps the file from growing for ever', async () => {
    const pages = () => temp.raw.pragma('page_count', { simple: true }) as number;
    const cycle = async (n: number): Promise<void> => {
      await enqueue(
        Array.from({ length: 60 }, (_, i) => `c${n}-${i}`),
        20_000,
      );
      finish('sent', NOON + n);
      while ((await step(NOON + n, n % 2 === 0 ? 0 : 1)).handled > 0);
    };
    for (let n = 0; n < 3; n++) await cycle(n);
    const after3 = pages();
    for (let n = 3; n < 25; n++) await cycle(n);
    expect(pages()).toBeLessThan(after3 * 1.1);
  });

  it('gives back what the log took while somebody read for long', async () => {
    const logSize = () => statSync(`${temp.path}-wal`).size;
    temp.raw.exec('BEGIN');
    count('messages');
    await enqueue(
      Array.from({ length: 70 }, (_, i) => `m${i}`),
      1_000_000,
    );
    expect(logSize()).toBeGreaterThan(70_000_000);
    temp.raw.exec('COMMIT');
    for (let n = 0; n < 3; n++) await enqueue([`after${n}`]);
    expect(logSize()).toBeLessThanOrEqual(64 * 1024 * 1024);
  });

  it('runs beside sending by itself and ends when it is stopped', async () => {
    await enqueue(Array.from({ length: 250 }, (_, i) => `m${i}`));
    finish('sent', NOON);
    const log = {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: () => undefined,
    };
    const cleanUp = new CleanUp({ store: temp.store.cleanup, retention: WEEK, now: () => NOON, log });
    cleanUp.start();
    await until(() => count('message_contents') === 0, 'all content is dropped');
    await cleanUp.stop();
    expect(count('messages')).toBe(250);
  });

  it('forgets idempotency keys that are too old, bit by bit, and no others', async () => {
    const remember = temp.raw.prepare(
      "INSERT INTO keyed_requests (scope, key, hash, created_at) VALUES ('admin', ?, x'00', ?)",
    );
    for (let n = 0; n < 250; n++) remember.run(`old${n}`, NOON - DAY);
    remember.run('young', NOON - DAY + 1);
    const none = () => undefined;
    const log = { debug: none, info: none, warn: none, error: none };
    const cleanUp = new CleanUp({ store: temp.store.cleanup, retention: WEEK, now: () => NOON, log });
    cleanUp.start();
    await until(() => count('keyed_requests') === 1, 'the old ones are gone');
    await cleanUp.stop();
    expect(temp.raw.prepare('SELECT key FROM keyed_requests').all()).toEqual([{ key: 'young' }]);
  });

  it('says once that it cannot work, and works again by itself', async () => {
    const lines: string[] = [];
    const none = () => undefined;
    const log = { debug: none, info: none, warn: none, error: (line: string) => void lines.push(line) };
    const failing = { ...temp.store.cleanup, cleanUp: () => Promise.reject(new Error('full')) };
    const cleanUp = new CleanUp({ store: failing, retention: WEEK, now: () => NOON, log });
    cleanUp.start();
    await until(() => lines.length > 0, 'it is told');
    await cleanUp.stop();
    expect(lines).toHaveLength(1);
  });
});

test('claims go on as before beside what was cleaned up', async () => {
  await enqueue(['m1', 'm2']);
  finish('sent', NOON, "id = 'm1'");
  await step(NOON + WEEK);
  const { claims } = await temp.store.claims.claimDue(lane, {
    limit: 9,
    owner: 'o',
    now: NOON,
    leaseMs: 1000,
  });
  expect(claims.map(({ id }) => id)).toEqual(['m2']);
});

describe('POST /commands/cleanup-messages', () => {
  it("removes the tenant's own final messages of a given age, and no other", async () => {
    const server = await openTestApp();
    const post = (token: string, path: string, json: object) => server.request('POST', path, { token, json });
    for (const tenant of ['acme', 'globex']) {
      await post(ADMIN, '/account', account({ tenant_id: tenant }));
      await post(ADMIN, '/commands/add-messages', {
        messages: Array.from({ length: 130 }, (_, i) => message(`m${i}`, { tenant_id: tenant })),
      });
    }
    const { default: Database } = await import('better-sqlite3');
    const raw = new Database(server.path, { timeout: 1000 });
    raw
      .prepare("UPDATE messages SET state = 'sent', sent_at = ? WHERE id <> 'm0'")
      .run(server.clock.now - 5000);
    const clean = async (json: object) => (await post(ACME, '/commands/cleanup-messages', json)).json;
    expect(await clean({ older_than_seconds: 6 })).toEqual({ ok: true, removed: 0 });
    expect(await clean({})).toEqual({ ok: true, removed: 0 });
    expect(await clean({ older_than_seconds: 5 })).toEqual({ ok: true, removed: 129 });
    expect(await clean({ older_than_seconds: -1 })).toMatchObject({ code: 'validation_failed' });
    expect(raw.prepare('SELECT tenant_id, COUNT(*) AS n FROM messages GROUP BY 1 ORDER BY 1').all()).toEqual([
      { tenant_id: 'acme', n: 1 },
      { tenant_id: 'globex', n: 130 },
    ]);
    raw.close();
    await server.close();
  });
});

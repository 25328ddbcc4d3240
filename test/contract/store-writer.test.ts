import { setTimeout as sleep } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Db, openDatabase } from '../../src/store/database.js';
import { statementCache } from '../../src/store/statements.js';
import { Writer } from '../../src/store/writer.js';
import { useCleanup } from '../support/cleanup.js';
import { openTempStore } from '../support/temp-store.js';

const closing = useCleanup();
let db: Db;
let other: Db;
let writer: Writer;
beforeEach(async () => {
  const { path } = closing(await openTempStore(), (it) => it.close());
  db = closing(openDatabase(path, { create: false }), (it) => it.close());
  other = closing(new Database(path, { timeout: 0 }), (it) => it.close());
  db.exec('CREATE TABLE things (n INTEGER PRIMARY KEY, filler BLOB)');
  writer = new Writer(db);
});

const coded = (code: string) => expect.objectContaining({ code });
const insert = (n: number, filler = 0) =>
  writer.run(() => statementCache(db)('INSERT INTO things VALUES (?, zeroblob(?))').run(n, filler).changes);
const stored = () => other.prepare('SELECT n FROM things ORDER BY n').pluck().all();
const commits = () => other.pragma('data_version', { simple: true });

describe('the writer', () => {
  test('commits for many callers at once, and answers each only when it is on disk', async () => {
    let versions = new Set([commits()]);
    const seen: unknown[] = [];
    const calls = Array.from({ length: 100 }, async (_, n) => {
      await insert(n);
      seen.push(stored().length);
      versions = versions.add(commits());
    });
    await Promise.all(calls);
    expect(new Set(seen)).toEqual(new Set([100]));
    expect(versions.size).toBe(2);
  });

  test('undoes a bad job alone, its neighbours stay', async () => {
    const results = await Promise.allSettled([
      insert(1),
      writer.run(() => {
        db.exec('INSERT INTO things (n) VALUES (2)');
        throw new Error('no');
      }),
      insert(1),
      insert(3),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'fulfilled']);
    expect(stored()).toEqual([1, 3]);
    expect(results[1]).toMatchObject({ reason: new Error('no') });
  });

  test('waits for the lock of another process without holding up the event loop', async () => {
    other.exec('BEGIN IMMEDIATE');
    let isDone = false;
    const job = insert(1).then(() => {
      isDone = true;
    });
    let longest = 0;
    for (let tick = 0; tick < 15; tick++) {
      const before = performance.now();
      await sleep(2);
      longest = Math.max(longest, performance.now() - before);
    }
    expect(isDone).toBe(false);
    // SQLite's own waiting would have kept every one of these timers for as long as the lock is held.
    expect(longest).toBeLessThan(1000);
    other.exec('COMMIT');
    await job;
    expect(stored()).toEqual([1]);
  });

  test('a full disk is store_unavailable, nothing is half done, and room makes it work again', async () => {
    await insert(1);
    const pages = db.pragma('page_count', { simple: true }) as number;
    db.pragma(`max_page_count = ${pages + 2}`);
    await expect(insert(2, 1_000_000)).rejects.toThrow(coded('store_unavailable'));
    await expect(insert(3, 1_000_000)).rejects.toThrow(/full/);
    expect(stored()).toEqual([1]);
    db.pragma('max_page_count = 1000000');
    await insert(4, 1_000_000);
    expect(stored()).toEqual([1, 4]);
  });

  test('a small job beside one that fills the disk is either wholly done or wholly not, as it was told', async () => {
    const pages = db.pragma('page_count', { simple: true }) as number;
    db.pragma(`max_page_count = ${pages + 2}`);
    const results = await Promise.allSettled([insert(1), insert(2, 1_000_000), insert(3)]);
    const told = [1, 2, 3].filter((_, i) => results[i]?.status === 'fulfilled');
    expect(results[1]).toMatchObject({ status: 'rejected', reason: coded('store_unavailable') });
    expect(stored()).toEqual(told);
  });

  test('a database that cannot be written is store_unavailable', async () => {
    db.pragma('query_only = ON');
    await expect(insert(1)).rejects.toThrow(coded('store_unavailable'));
    expect(stored()).toEqual([]);
  });

  test('a closed database is store_unavailable, also for what was waiting', async () => {
    const waiting = insert(1);
    db.close();
    await expect(waiting).rejects.toThrow(coded('store_unavailable'));
    await expect(insert(2)).rejects.toThrow(coded('store_unavailable'));
  });

  describe('with jobs that may be repeated', () => {
    const REPEATABLE = { isRepeatable: true };
    const add = (n: number) => statementCache(db)('INSERT INTO things (n) VALUES (?)').run(n).changes;

    test('undoes a bad one alone: the others are run again, and are stored once', async () => {
      const runs: number[] = [];
      const job = (n: number) =>
        writer.run(() => {
          runs.push(n);
          return add(n);
        }, REPEATABLE);
      const first = job(1);
      const bad = writer.run(() => {
        add(2);
        throw new Error('no');
      }, REPEATABLE);
      const results = await Promise.allSettled([first, bad, job(3)]);
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({ reason: new Error('no') });
      expect(stored()).toEqual([1, 3]);
      expect(runs).toEqual([1, 1, 3]);
    });

    test('never runs a job again that may not be', async () => {
      let runs = 0;
      const once = writer.run(() => {
        runs++;
        return add(1);
      });
      const bad = writer.run(() => {
        throw new Error('no');
      }, REPEATABLE);
      await Promise.allSettled([once, bad]);
      expect(runs).toBe(1);
      expect(stored()).toEqual([1]);
    });

    test('a full disk is told to all that were in the transaction, and nothing of them is stored', async () => {
      const pages = db.pragma('page_count', { simple: true }) as number;
      db.pragma(`max_page_count = ${pages + 2}`);
      const large = writer.run(
        () => statementCache(db)('INSERT INTO things VALUES (2, zeroblob(1000000))').run(),
        REPEATABLE,
      );
      const results = await Promise.allSettled([writer.run(() => add(1), REPEATABLE), large]);
      const told = [1].filter((_, i) => results[i]?.status === 'fulfilled');
      expect(results[1]).toMatchObject({ status: 'rejected', reason: coded('store_unavailable') });
      expect(stored()).toEqual(told);
    });
  });

  test('when one of several urgent jobs fails, the others are done', async () => {
    const urgent = (work: () => unknown) => writer.run(work, { isUrgent: true });
    const things = statementCache(db)('INSERT INTO things (n) VALUES (?)');
    const results = await Promise.allSettled([
      urgent(() => things.run(1)),
      urgent(() => things.run(1)),
      urgent(() => things.run(2)),
      insert(3),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    expect(stored()).toEqual([1, 2, 3]);
  });

  test('what is urgent goes in front of what waits, which is not put off for ever', async () => {
    const order: string[] = [];
    // Each takes longer than may go along with what is urgent, so that one is taken at a time.
    const slow = (name: string) => () => {
      order.push(name);
      const until = performance.now() + 20;
      while (performance.now() < until);
    };
    const urgent = (left: number): Promise<unknown> =>
      writer
        .run(() => order.push('urgent'), { isUrgent: true, isRepeatable: true })
        .then(() => (left > 1 ? urgent(left - 1) : undefined));
    const others = ['a', 'b', 'c'].map((name) => writer.run(slow(name), { isRepeatable: true }));
    await Promise.all([...others, urgent(4)]);
    expect(order).toEqual(['urgent', 'a', 'urgent', 'b', 'urgent', 'c', 'urgent']);
  });
});

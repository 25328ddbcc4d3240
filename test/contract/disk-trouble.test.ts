import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { afterAll, afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { quietAboutStore } from '../../src/daemon/quiet-log.js';
import { openStoreAndMigrate } from '../../src/store/store.js';
import { canSetUnwritable, mountSmallDisk, type SmallDisk, setUnwritable } from '../support/disk.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { message, openTestAppOver, type TestApp } from '../support/http.js';
import { until } from '../support/processes.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

const TOKEN = 'acme-token';
const unwritableWorks = canSetUnwritable();
const smallDisk = mountSmallDisk(48);
afterEach(() => smallDisk?.empty());
afterAll(() => smallDisk?.close());

interface Troubled {
  dispatch: TestDispatch;
  app: TestApp;
  smtp: SmtpTestServer;
  /** Lines of level error that reach the log. */
  errors: string[];
  post(id: string): Promise<{ status: number; json: Record<string, unknown> }>;
}

/** The pieces of a daemon over a store in a directory, with a tenant whose account reaches an SMTP server. */
async function open(directory?: string): Promise<Troubled> {
  const before = process.env.TMPDIR;
  if (directory !== undefined) process.env.TMPDIR = directory;
  const errors: string[] = [];
  const none = () => undefined;
  const log = quietAboutStore(
    { debug: none, info: none, warn: none, error: (line) => void errors.push(line) },
    Date.now,
  );
  let dispatch: TestDispatch;
  try {
    dispatch = await openTestDispatch();
  } finally {
    if (before === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = before;
  }
  const smtp = await startSmtpServer({ tls: 'none' });
  await dispatch.account('acme', { host: '127.0.0.1', port: smtp.port, tls: 'none' });
  const app = await openTestAppOver(dispatch, { log, wake: () => dispatch.dispatcher.wake() });
  await dispatch.dispatcher.start();
  onTestFinished(async () => {
    await dispatch.close();
    await smtp.close();
  });
  return {
    dispatch,
    app,
    smtp,
    errors,
    post: (id) =>
      app.request('POST', '/commands/add-messages', {
        token: TOKEN,
        json: { messages: [message(id, { body: 'x'.repeat(20_000) })] },
      }),
  };
}

const isAcknowledged = ({ status, json }: Awaited<ReturnType<Troubled['post']>>): boolean =>
  status === 200 && json.queued === 1;

const subjects = (smtp: SmtpTestServer): string[] =>
  smtp.messages.map(({ raw }) => /^Subject: (.*)\r$/m.exec(raw.toString('latin1'))?.[1] ?? '');

describe('a disk that fills up and is emptied again', () => {
  it.skipIf(smallDisk === undefined)(
    'loses nothing that was acknowledged and acknowledges nothing that is lost',
    async () => {
      const disk = smallDisk as SmallDisk;
      const { app, dispatch, smtp, errors } = await open(disk.path);
      const acknowledged: string[] = [];
      const refused: string[] = [];
      const others: unknown[] = [];
      let isOver = false;
      const worker = async (w: number): Promise<void> => {
        for (let n = 0; !isOver; n++) {
          const id = `w${w}-${n}`;
          const answer = await app.request('POST', '/commands/add-messages', {
            token: TOKEN,
            json: { messages: [message(id, { body: 'x'.repeat(20_000), subject: id })] },
          });
          if (isAcknowledged(answer)) acknowledged.push(id);
          else if (answer.status === 503 && answer.json.code === 'store_unavailable') refused.push(id);
          else others.push(answer.json);
          if (answer.status === 503) await new Promise((resolve) => setTimeout(resolve, 5));
        }
      };
      const workers = Promise.all(Array.from({ length: 8 }, (_, w) => worker(w)));
      for (let round = 1; round <= 2; round++) {
        const before = { acknowledged: acknowledged.length, refused: refused.length };
        await until(() => acknowledged.length >= before.acknowledged + 60, 'posts are acknowledged');
        disk.fill();
        await until(() => refused.length >= before.refused + 60, 'posts are refused');
        expect((await app.request('GET', '/health')).status).toBe(200);
        disk.empty();
      }
      const again = acknowledged.length;
      await until(() => acknowledged.length >= again + 60, 'posts are acknowledged again');
      isOver = true;
      await workers;

      expect(others).toEqual([]);
      const stored = dispatch.raw.prepare<[], { id: string }>('SELECT id FROM messages').all();
      expect(stored.map(({ id }) => id).sort()).toEqual(acknowledged.toSorted());
      const left = () =>
        (
          dispatch.raw.prepare("SELECT COUNT(*) AS n FROM messages WHERE state <> 'sent'").get() as {
            n: number;
          }
        ).n;
      await until(() => left() === 0, 'all is sent');
      // Each once: an outcome that could not be written at first was written later.
      expect(subjects(smtp).sort()).toEqual(acknowledged.toSorted());
      expect(errors.filter((line) => line.includes('is full'))).toHaveLength(1);
    },
  );
});

describe('a database that another process has locked', () => {
  it('is told as such after a few seconds, and works again once it is free', async () => {
    const { post, dispatch, smtp } = await open();
    const other = new Database(dispatch.path);
    other.exec('BEGIN IMMEDIATE');
    const answer = await post('m1');
    expect(answer).toMatchObject({ status: 503, json: { ok: false, code: 'store_unavailable' } });
    other.exec('COMMIT');
    other.close();
    expect(isAcknowledged(await post('m2'))).toBe(true);
    await smtp.waitFor(1);
  });
});

describe.skipIf(!unwritableWorks)('a database that cannot be written any more', () => {
  const files = (path: string) => [path, `${path}-wal`].filter((file) => existsSync(file));

  it('is never said to have taken a message, and goes on by itself when it can be written again', async () => {
    const { post, app, dispatch, smtp, errors } = await open();
    const unwritable = files(dispatch.path);
    expect(isAcknowledged(await post('m1'))).toBe(true);
    await smtp.waitFor(1);
    await dispatch.until('acme', 'm1', ({ status }) => status === 'sent');
    setUnwritable(unwritable, true);
    try {
      for (let n = 0; n < 20; n++) {
        expect(await post(`refused${n}`)).toMatchObject({
          status: 503,
          json: { ok: false, code: 'store_unavailable' },
        });
      }
      expect((await app.request('GET', '/messages', { token: TOKEN })).status).toBe(200);
    } finally {
      setUnwritable(unwritable, false);
    }
    expect(errors).toHaveLength(1);
    expect(isAcknowledged(await post('m2'))).toBe(true);
    await smtp.waitFor(2);
    const ids = dispatch.raw.prepare<[], { id: string }>('SELECT id FROM messages ORDER BY pk').all();
    expect(ids.map(({ id }) => id)).toEqual(['m1', 'm2']);
  });

  it('refuses the first change of a start with one sentence', async () => {
    const { dispatch } = await open();
    await dispatch.dispatcher.stop(1000);
    dispatch.raw.close();
    await dispatch.store.close();
    setUnwritable([dispatch.path], true);
    try {
      const { store } = await openStoreAndMigrate(dispatch.path);
      const refused = store.settings.tell('daemon_key_ids', '[]');
      await expect(refused).rejects.toMatchObject({ code: 'store_unavailable' });
      await store.close();
    } finally {
      setUnwritable([dispatch.path], false);
    }
  });
});

describe('a damaged database', () => {
  /** Puts all that is in the log into the file, and makes every connection read it anew. */
  function settleOnDisk(raw: Database.Database): void {
    raw.exec('UPDATE generation SET value = value + 1');
    raw.pragma('wal_checkpoint(TRUNCATE)');
  }
  /** Overwrites all but the first page. */
  function damage(path: string): void {
    const sound = readFileSync(path);
    const { size } = statSync(path);
    writeFileSync(path, Buffer.concat([sound.subarray(0, 4096), Buffer.alloc(size - 4096, 0xa5)]), {
      flag: 'r+',
    });
  }

  it('takes no message and is unhealthy, ends nothing, and is told once', async () => {
    const { post, app, dispatch, errors } = await open();
    expect(isAcknowledged(await post('m1'))).toBe(true);
    await dispatch.until('acme', 'm1', ({ status }) => status === 'sent');
    settleOnDisk(dispatch.raw);
    damage(dispatch.path);
    for (let n = 0; n < 10; n++) {
      const answer = await post(`refused${n}`);
      expect(answer).toMatchObject({ status: 503, json: { ok: false, code: 'store_unavailable' } });
      expect(JSON.stringify(answer.json)).not.toContain(dispatch.path);
      expect((await app.request('GET', '/health')).status).toBe(503);
    }
    dispatch.dispatcher.wake();
    expect(errors.filter((line) => line.includes('is damaged'))).toHaveLength(1);
  });

  it('ends a start with one sentence that says what to do', async () => {
    const { dispatch } = await open();
    settleOnDisk(dispatch.raw);
    await dispatch.dispatcher.stop(1000);
    dispatch.raw.close();
    await dispatch.store.close();
    damage(dispatch.path);
    const said = await openStoreAndMigrate(dispatch.path).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(said).toMatchObject({ code: 'store_unavailable' });
    expect(String(said)).toMatch(/restore a backup/);
  });
});

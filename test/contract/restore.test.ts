import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { backupServer } from '../../src/services/backup-server.js';
import { openServer } from '../../src/services/open-server.js';
import { prepareRestore, type Restored, type RestoreRequest } from '../../src/services/restore-server.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { takeServerLock } from '../../src/store/server-lock.js';
import { makeServerDirectory, type ServerDirectory } from '../support/server-directory.js';
import { NOON } from '../support/temp-store.js';

let server: ServerDirectory;
let file: string;
beforeEach(async () => {
  server = await makeServerDirectory();
  await server.enqueue('acme', 'm1', 'm2');
  ({ file } = await backupServer('alpha', server.directory, server.env, {
    file: undefined,
    overwrite: false,
    now: () => NOON,
    onProgress: () => undefined,
  }));
  await server.enqueue('acme', 'later');
});
afterEach(() => server.close());

const prepare = (changes: Partial<RestoreRequest> = {}) =>
  prepareRestore({
    server: 'alpha',
    directory: server.directory,
    env: server.env,
    file,
    holdUnreadable: false,
    actor: { kind: 'os-user', name: 'test' },
    ...changes,
  });

async function restore(changes: Partial<RestoreRequest> = {}, hold = false): Promise<Restored> {
  const prepared = await prepare(changes);
  try {
    return await prepared.commit({ hold, now: NOON });
  } finally {
    prepared.discard();
  }
}

/** What is in a directory, without what is made again at each opening. */
const filesIn = (directory: string) =>
  readdirSync(directory)
    .filter((name) => !name.endsWith('-shm'))
    .sort();

/** Changes the backup as another program could. */
function edit(work: (db: Database.Database) => void): void {
  const db = new Database(file);
  work(db);
  db.close();
}

describe('what is restored', () => {
  it('is the backup, and the database of before is kept whole beside it', async () => {
    // As a daemon that was killed leaves it: the newest message is in the log only.
    const asKilled = ['', '-wal'].map(
      (suffix) => [suffix, readFileSync(`${server.database}${suffix}`)] as const,
    );
    await server.stop();
    for (const [suffix, bytes] of asKilled) writeFileSync(`${server.database}${suffix}`, bytes);
    expect(asKilled[1]?.[1].includes('later')).toBe(true);

    const { replaced } = await restore();
    expect(replaced).toBe(`${server.database}.before-restore-20300101T120000Z`);
    expect(filesIn(server.directory)).toEqual(
      [
        'backups',
        'encryption.key',
        'mail_service.db',
        'mail_service.db.lock',
        'mail_service.db.before-restore-20300101T120000Z',
      ].sort(),
    );
    expect(statSync(server.database).mode & 0o777).toBe(0o600);
    expect(await server.ids()).toEqual(['m1', 'm2']);
    expect(await server.ids(replaced as string)).toEqual(['m1', 'm2', 'later']);
  });

  it('says in its audit trail that it was restored, and where the trail of before stood', async () => {
    const head = await server.store.audit.head();
    await server.stop();
    await restore();
    const { context, close } = await openServer('alpha', server.directory, server.env);
    const [newest] = await context.store.audit.list({}, { limit: 1 });
    expect(newest).toMatchObject({ event: 'backup.restored', actor: 'os:test' });
    expect(JSON.parse(newest?.detail ?? '')).toEqual({
      replaced: 'mail_service.db.before-restore-20300101T120000Z',
      replaced_head: `${head?.seq}:${head?.hash}`,
    });
    expect((await verifyAudit(context.store, context.keyring)).problem).toBeNull();
    await close();
  });

  it('is in its place even when the database of before is damaged or gone', async () => {
    await server.stop();
    truncateSync(server.database, 10_000);
    writeFileSync(`${server.database}-wal`, 'a log of something else');
    const { replaced } = await restore();
    expect(await server.ids()).toEqual(['m1', 'm2']);
    expect(readFileSync(replaced as string).length).toBe(10_000);
    rmSync(server.database);
    expect(await restore()).toEqual({ replaced: null, held: [] });
    expect(await server.ids()).toEqual(['m1', 'm2']);
  });

  it('never finds the log of another database beside it', async () => {
    await server.stop();
    writeFileSync(server.database, 'no database');
    writeFileSync(`${server.database}-wal`, 'its log');
    await restore();
    expect(existsSync(`${server.database}-wal`)).toBe(false);
    expect(await server.ids()).toEqual(['m1', 'm2']);
  });

  it('includes the log of a database that was copied by hand', async () => {
    const copy = join(server.directory, 'copied.db');
    for (const suffix of ['', '-wal']) copyFileSync(`${server.database}${suffix}`, `${copy}${suffix}`);
    await server.stop();
    await restore({ file: copy });
    expect(await server.ids()).toEqual(['m1', 'm2', 'later']);
  });

  it('makes a server that is not there', async () => {
    const directory = join(server.directory, '..', 'beta');
    const key = readFileSync(join(server.directory, 'encryption.key')).toString('base64');
    const env = { ...server.env, MAIL_PROXY_ENCRYPTION_KEY: key };
    await restore({ server: 'beta', directory, env });
    expect(await server.ids(join(directory, 'mail_service.db'))).toEqual(['m1', 'm2']);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
  });

  it('holds the queue of every tenant that has unsent messages, when asked to', async () => {
    edit((db) => db.exec("UPDATE messages SET state = 'sending', handed_over = 1 WHERE id = 'm1'"));
    await server.stop();
    expect(await restore({}, true)).toMatchObject({ held: ['acme'] });
    const raw = new Database(server.database);
    const rows = raw.prepare('SELECT tenant_id, batch_code, released_at FROM suspensions').all();
    raw.close();
    expect(rows).toEqual([{ tenant_id: 'acme', batch_code: '', released_at: null }]);
  });

  it('can be read by its owner only, though the backup may be open to others', async () => {
    await server.stop();
    chmodSync(file, 0o644);
    await restore();
    expect(statSync(server.database).mode & 0o777).toBe(0o600);
  });
});

it('leaves messages that were on their way uncertain, as a crash does, and the others as they were', async () => {
  edit((db) =>
    db.exec(
      "UPDATE messages SET state = 'sending', lease_until = 1, claimed_at = 1, claim = 1, handed_over = (id = 'm1')",
    ),
  );
  await server.stop();
  await restore();
  const { context, close } = await openServer('alpha', server.directory, server.env);
  expect(await context.store.claims.recover(NOON, 'all', () => 0.5)).toEqual({
    freed: 1,
    retried: 1,
    held: 0,
  });
  await close();
});

describe('a restore is refused, and changes nothing,', () => {
  const refused = async (code: string, changes: Partial<RestoreRequest> = {}): Promise<string> => {
    const before = { files: filesIn(server.directory), ids: await server.ids() };
    const error = await restore(changes).then(
      () => undefined,
      (failure: unknown) => failure as Error,
    );
    expect(error).toMatchObject({ code });
    const isLock = (name: string) => name.endsWith('.lock');
    expect(filesIn(server.directory).filter((name) => !isLock(name))).toEqual(
      before.files.filter((name) => !isLock(name)),
    );
    expect(await server.ids()).toEqual(before.ids);
    return error?.message ?? '';
  };

  it('while a daemon runs', async () => {
    await server.stop();
    const lock = takeServerLock(`${server.database}.lock`);
    await refused('daemon_running').finally(() => lock.release());
  });

  it('while another command has the database open', async () => {
    await refused('store_unavailable');
  });

  it('and no daemon can start between the check and the exchange', async () => {
    await server.stop();
    const prepared = await prepare();
    expect(() => takeServerLock(`${server.database}.lock`)).toThrow(/running/);
    prepared.discard();
    takeServerLock(`${server.database}.lock`).release();
  });

  it.each([
    ['that is not there', 'file_unreadable', () => rmSync(file)],
    ['that is no database', 'schema_mismatch', () => writeFileSync(file, randomBytes(20_000))],
    ['that is empty', 'schema_mismatch', () => writeFileSync(file, '')],
    ['of another program', 'schema_mismatch', () => edit((db) => db.pragma('application_id = 7'))],
    ['of a newer version', 'schema_mismatch', () => edit((db) => db.pragma('user_version = 999'))],
    ['that was cut off', 'store_unavailable', () => truncateSync(file, statSync(file).size - 8192)],
    [
      'whose pages were overwritten',
      'store_unavailable',
      () => {
        const fd = openSync(file, 'r+');
        for (let page = 4; page < statSync(file).size / 4096; page += 3)
          writeSync(fd, randomBytes(900), 0, 900, page * 4096);
        closeSync(fd);
      },
    ],
    [
      'whose rows refer to nothing',
      'store_unavailable',
      () =>
        edit((db) => {
          db.pragma('foreign_keys = OFF');
          db.exec("INSERT INTO tokens (tenant_id, name, hash, created_at) VALUES ('nobody', 'x', 'x', 1)");
        }),
    ],
    [
      'whose passwords were edited',
      'credential_unreadable',
      () => edit((db) => db.exec("UPDATE accounts SET host = 'evil.example' WHERE tenant_id = 'acme'")),
    ],
    [
      'whose audit trail was edited',
      'audit_broken',
      () => edit((db) => db.exec("UPDATE audit_events SET actor = 'os:nobody' WHERE seq = 2")),
    ],
  ] as const)('for a file %s', async (_what, code, spoil) => {
    await server.stop();
    spoil();
    await refused(code);
  });

  it('for the database itself', async () => {
    await server.stop();
    await refused('usage', { file: server.database });
  });

  it('without the keys of the backup, naming each, unless told to go on', async () => {
    await server.stop();
    const id = server.context.keyring.primaryId as string;
    renameSync(join(server.directory, 'encryption.key'), join(server.directory, 'away'));
    expect(await refused('key_missing')).toContain(id);
    const retired = join(server.directory, 'keys', 'retired');
    mkdirSync(retired, { recursive: true });
    renameSync(join(server.directory, 'away'), join(retired, `${id}.key`));
    expect(await refused('key_missing')).toContain(join(retired, `${id}.key`));
    const prepared = await prepare({ holdUnreadable: true });
    expect(prepared.warnings).toHaveLength(1);
    await prepared.commit({ hold: false, now: NOON });
    prepared.discard();
    expect(await server.ids()).toEqual(['m1', 'm2']);
  });

  it('for a tampered trail, unless told to go on', async () => {
    await server.stop();
    edit((db) => db.exec('DELETE FROM audit_events WHERE seq = 2'));
    await restore({ holdUnreadable: true });
    expect(await server.ids()).toEqual(['m1', 'm2']);
  });

  it('and leaves no directory of a server that was to be made', async () => {
    const directory = join(server.directory, '..', 'beta');
    await expect(restore({ server: 'beta', directory })).rejects.toMatchObject({ code: 'key_missing' });
    expect(existsSync(directory)).toBe(false);
  });
});

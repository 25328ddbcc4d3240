import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test } from 'vitest';
import { openDatabase } from '../../src/store/database.js';
import { MIGRATIONS, migrate } from '../../src/store/migrate.js';
import { SCHEMA_VERSION } from '../../src/store/schema-version.js';
import { openStore, openStoreAndMigrate } from '../../src/store/store.js';
import { useCleanup } from '../support/cleanup.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let directory = '';
let path = '';
beforeEach(() => {
  directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-open-')), (it) =>
    rmSync(it, { recursive: true, force: true }),
  );
  path = join(directory, 'server', 'mail.db');
});

const versionOf = (db: Database.Database) => db.pragma('user_version', { simple: true }) as number;
const modeOf = (file: string) => statSync(file).mode & 0o777;
const coded = (code: string) => expect.objectContaining({ code });

async function make(): Promise<void> {
  await (await openStoreAndMigrate(path)).store.close();
}

describe('a database that is opened', () => {
  test('is WAL with synchronous FULL and foreign keys, when new and on every later opening', () => {
    for (let opening = 1; opening <= 3; opening++) {
      const db = openDatabase(path, { create: true });
      expect(db.pragma('journal_mode', { simple: true })).toBe('wal');
      expect(db.pragma('synchronous', { simple: true })).toBe(2);
      expect(db.pragma('foreign_keys', { simple: true })).toBe(1);
      expect(db.pragma('busy_timeout', { simple: true })).toBe(0);
      db.close();
    }
  });

  test('is private whatever the umask, side files and new directory too', async () => {
    const umask = process.umask(0);
    closing(umask, (before) => process.umask(before));
    const { store } = await openStoreAndMigrate(path);
    closing(store, (it) => it.close());
    store.audit.unlock(randomBytes(32), 1);
    await store.settings.set('host', 'x', by(NOON));
    expect(modeOf(join(directory, 'server'))).toBe(0o700);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) expect(modeOf(file)).toBe(0o600);
  });

  test('leaves the mode of a directory that was there alone: it may be shared', async () => {
    const shared = join(directory, 'server');
    mkdirSync(shared);
    chmodSync(shared, 0o755);
    await make();
    expect(modeOf(shared)).toBe(0o755);
  });

  test.each([0o644, 0o640, 0o606])('is refused with mode %o', async (mode) => {
    await make();
    chmodSync(path, mode);
    await expect(openStore(path)).rejects.toThrow(coded('unsafe_permissions'));
    await expect(openStoreAndMigrate(path)).rejects.toThrow(/chmod 600/);
  });

  test('must exist unless a daemon opens it', async () => {
    await expect(openStore(path)).rejects.toThrow(coded('server_not_found'));
    expect(existsSync(path)).toBe(false);
  });

  test('is refused when it is no database at all', async () => {
    await make();
    writeFileSync(path, 'something else, and long enough to be a header of SQLite. '.repeat(20));
    await expect(openStore(path)).rejects.toThrow(coded('store_unavailable'));
  });

  test.each([0, 1])('of another program, at its version %d, is refused and not changed', async (version) => {
    mkdirSync(join(directory, 'server'));
    const other = new Database(path);
    other.exec('CREATE TABLE theirs (x)');
    other.pragma(`user_version = ${version}`);
    other.close();
    chmodSync(path, 0o600);
    const before = readFileSync(path);
    await expect(openStoreAndMigrate(path)).rejects.toThrow(/another program/);
    await expect(openStore(path)).rejects.toThrow(coded('schema_mismatch'));
    expect(readFileSync(path)).toEqual(before);
  });

  test('of a newer schema is refused by everyone, of an older one by commands', async () => {
    await make();
    const raw = new Database(path);
    const present = versionOf(raw);
    raw.pragma(`user_version = ${present + 1}`);
    await expect(openStore(path)).rejects.toThrow(/newer/);
    await expect(openStoreAndMigrate(path)).rejects.toThrow(coded('schema_mismatch'));
    raw.pragma(`user_version = ${present - 1}`);
    raw.close();
    await expect(openStore(path)).rejects.toThrow(/restart/);
  });
});

test('the schema version is how many migrations there are', () => {
  expect(SCHEMA_VERSION).toBe(MIGRATIONS.length);
});

test('migrating what is migrated changes nothing and copies nothing', async () => {
  const db = openDatabase(path, { create: true });
  closing(db, (it) => it.close());
  expect(versionOf(db)).toBe(0);
  expect(await migrate(db)).toBeUndefined();
  const version = versionOf(db);
  db.exec("INSERT INTO settings VALUES ('host', 'kept')");
  expect(await migrate(db)).toBeUndefined();
  expect(versionOf(db)).toBe(version);
  expect(db.prepare('SELECT value FROM settings').pluck().get()).toBe('kept');
});

test('what was written is there after the file is opened again', async () => {
  const first = (await openStoreAndMigrate(path)).store;
  first.audit.unlock(randomBytes(32), 1);
  await first.settings.set('host', 'example', by(NOON));
  await first.close();
  await first.close();
  const second = await openStore(path);
  closing(second, (it) => it.close());
  expect(await second.settings.get('host')).toBe('example');
  await expect(first.settings.set('host', 'late', by(NOON))).rejects.toThrow(coded('store_unavailable'));
});

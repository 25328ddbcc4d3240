import { closeSync, existsSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import Database from 'better-sqlite3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type BackupOptions, backupServer } from '../../src/services/backup-server.js';
import { canaryOf, findCanaries } from '../support/canaries.js';
import { makeServerDirectory, type ServerDirectory } from '../support/server-directory.js';
import { countedBySqlite, keptCounters, NOON } from '../support/temp-store.js';

const SECRET = 'canary-7Zq4-swordfish';
let server: ServerDirectory;
beforeEach(async () => {
  server = await makeServerDirectory(SECRET);
});
afterEach(() => server.close());

const backup = (changes: Partial<BackupOptions> = {}) =>
  backupServer('alpha', server.directory, server.env, {
    file: undefined,
    overwrite: false,
    now: () => NOON,
    onProgress: () => undefined,
    ...changes,
  });
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe('a backup', () => {
  it('is a whole database of its own, which only its owner can read whatever the umask', async () => {
    await server.enqueue('acme', 'm1', 'm2');
    const umask = process.umask(0);
    const { file, bytes, schema, unaudited } = await backup().finally(() => process.umask(umask));
    expect(file).toBe(join(server.directory, 'backups', 'alpha-20300101T120000Z.db'));
    expect([modeOf(file), modeOf(dirname(file))]).toEqual([0o600, 0o700]);
    expect(readdirSync(dirname(file))).toEqual(['alpha-20300101T120000Z.db']);
    expect(bytes).toBe(statSync(file).size);
    expect(schema).toBeGreaterThan(0);
    expect(unaudited).toBeUndefined();
    expect(await server.ids(file)).toEqual(['m1', 'm2']);
  });

  it('ends, and is of one moment, while others commit all the time', async () => {
    const others = new Database(server.database, { timeout: 5000 });
    const insert = others.prepare('INSERT INTO settings VALUES (?, ?)');
    for (let i = 0; i < 2000; i++) insert.run(`filler${i}`, 'x'.repeat(4000));
    let steps = 0;
    const { file } = await backup({
      onProgress() {
        steps++;
        // Were the copy to begin again with each of these, it would never end.
        others.transaction(() => {
          insert.run(`left ${steps}`, 'x');
          insert.run(`right ${steps}`, 'x');
        })();
      },
    });
    others.close();
    expect(steps).toBeGreaterThan(3);
    const copy = new Database(file);
    expect(copy.prepare("SELECT COUNT(*) AS n FROM settings WHERE name LIKE 'left %'").get()).toEqual({
      n: 0,
    });
    expect(keptCounters(copy)).toEqual(countedBySqlite(copy));
    copy.close();
  });

  it('holds no secret that can be read, and no key', async () => {
    const { file } = await backup();
    const key = readFileSync(join(server.directory, 'encryption.key'));
    const bytes = readFileSync(file);
    expect(findCanaries(bytes, [canaryOf('password', SECRET)])).toEqual([]);
    expect(bytes.includes(key) || bytes.includes(key.toString('base64'))).toBe(false);
    expect(bytes.includes('ENC:')).toBe(true);
  });

  it('is noted in the audit trail; without the key it is made all the same', async () => {
    const { file } = await backup();
    const [newest] = await server.store.audit.list({}, { limit: 1 });
    expect(newest).toMatchObject({ event: 'backup.created', subject: 'alpha-20300101T120000Z.db' });
    const env = { ...server.env, MAIL_PROXY_ENCRYPTION_KEY: 'no key' };
    const again = await backupServer('alpha', server.directory, env, {
      file: join(dirname(file), 'second.db'),
      overwrite: false,
      now: () => NOON,
      onProgress: () => undefined,
    });
    expect(again.unaudited).toContain('MAIL_PROXY_ENCRYPTION_KEY');
    expect(existsSync(again.file)).toBe(true);
  });

  it('replaces no file unless forced, and never one that the server needs', async () => {
    await server.enqueue('acme', 'm1');
    const { file } = await backup();
    await server.enqueue('acme', 'm2');
    await expect(backup({ file })).rejects.toMatchObject({ code: 'already_exists' });
    expect((await backup()).file).toBe(file.replace('.db', '-2.db'));
    expect(await server.ids(file)).toEqual(['m1']);
    await backup({ file, overwrite: true });
    expect(await server.ids(file)).toEqual(['m1', 'm2']);
    for (const name of [server.database, join(server.directory, 'encryption.key')]) {
      await expect(backup({ file: name, overwrite: true })).rejects.toMatchObject({ code: 'usage' });
    }
  });

  it('goes into a directory under its own name', async () => {
    const { file } = await backup({ file: server.directory });
    expect(file).toBe(join(server.directory, 'alpha-20300101T120000Z.db'));
  });

  it('leaves nothing behind when it is interrupted, or when the database is damaged', async () => {
    const interrupted = backup({
      onProgress() {
        throw new Error('interrupted');
      },
    });
    await expect(interrupted).rejects.toThrow('interrupted');
    await server.enqueue('acme', 'm1', 'm2', 'm3');
    await server.stop();
    const { size } = statSync(server.database);
    const fd = openSync(server.database, 'r+');
    for (let page = 3; page < size / 4096; page++)
      writeSync(fd, Buffer.alloc(500, 0xa5), 0, 500, page * 4096);
    closeSync(fd);
    await expect(backup()).rejects.toMatchObject({ code: 'store_unavailable' });
    expect(readdirSync(join(server.directory, 'backups'))).toEqual([]);
  });
});

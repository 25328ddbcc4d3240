import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { isServerLocked, takeServerLock } from '../../src/store/server-lock.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let path = '';
beforeEach(() => {
  const directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-lock-')), (it) =>
    rmSync(it, { recursive: true, force: true }),
  );
  path = join(directory, 'data', 'mail.db.lock');
});

const SQLITE = createRequire(import.meta.url).resolve('better-sqlite3');

/** Another process that holds the lock as a daemon does, until it is ended. */
async function holdElsewhere() {
  const child = spawn(process.execPath, [
    '-e',
    `const db = new (require(${JSON.stringify(SQLITE)}))(process.argv[1]);
     db.exec('BEGIN EXCLUSIVE'); console.log('held'); setInterval(() => {}, 1000);`,
    path,
  ]);
  closing(child, (it) => it.kill('SIGKILL'));
  await once(child.stdout, 'data');
  return child;
}

describe('the lock of a server', () => {
  test('has one holder; who looks changes nothing', () => {
    expect(isServerLocked(path)).toBe(false);
    const lock = closing(takeServerLock(path), (it) => it.release());
    expect(isServerLocked(path)).toBe(true);
    expect(isServerLocked(path)).toBe(true);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    lock.release();
    lock.release();
    expect(isServerLocked(path)).toBe(false);
    takeServerLock(path).release();
  });

  test('is refused while another process holds it', async () => {
    takeServerLock(path).release();
    await holdElsewhere();
    expect(isServerLocked(path)).toBe(true);
    expect(() => takeServerLock(path)).toThrow(expect.objectContaining({ code: 'daemon_running' }));
  });

  test('pitfall 23: is free the moment its holder is killed, whatever file is left behind', async () => {
    takeServerLock(path).release();
    const child = await holdElsewhere();
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(isServerLocked(path)).toBe(false);
    takeServerLock(path).release();
  });

  test('is not lost when its own process tries to take it again', async () => {
    const lock = closing(takeServerLock(path), (it) => it.release());
    expect(() => takeServerLock(path)).toThrow(expect.objectContaining({ code: 'daemon_running' }));
    const child = spawn(process.execPath, [
      '-e',
      `const db = new (require(${JSON.stringify(SQLITE)}))(process.argv[1], { timeout: 0 });
       try { db.exec('BEGIN EXCLUSIVE'); process.exit(0); } catch { process.exit(3); }`,
      path,
    ]);
    expect(await once(child, 'exit')).toEqual([3, null]);
    lock.release();
  });

  test('a lock file that cannot be read is told as such', () => {
    mkdirSync(path, { recursive: true });
    expect(() => isServerLocked(path)).toThrow(expect.objectContaining({ code: 'store_unavailable' }));
    const below = join(path, 'x'.repeat(300));
    expect(() => isServerLocked(below)).toThrow(expect.objectContaining({ code: 'store_unavailable' }));
  });

  test('a lock file that is none is told as such', () => {
    takeServerLock(path).release();
    writeFileSync(path, 'this is no database, and it is longer than a header. '.repeat(10));
    expect(() => isServerLocked(path)).toThrow(expect.objectContaining({ code: 'store_unavailable' }));
  });
});

import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { serverPaths } from '../../src/config/server-paths.js';
import { webhookSecretAdditionalData } from '../../src/crypto/binding.js';
import { findKeys, rotatedKeyFile } from '../../src/crypto/key-sources.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { LiveKeyring } from '../../src/daemon/live-keyring.js';
import { writeKeyFile } from '../../src/services/key-files.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { verifySecrets } from '../../src/services/reencrypt.js';
import { type RotationContext, rotateKey } from '../../src/services/rotate-key.js';
import { rotateServerKey } from '../../src/services/rotate-server-key.js';
import { loadKeyring, unlockKeys } from '../../src/services/unlock-keys.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { tenantScope } from '../../src/store/scope.js';
import { takeServerLock } from '../../src/store/server-lock.js';
import { openStoreAndMigrate, type Store } from '../../src/store/store.js';
import { useCleanup } from '../support/cleanup.js';
import { by, NOON } from '../support/temp-store.js';

/** Counts what a rotation does to the disk, and ends it there as a power cut would. */
const steps = vi.hoisted(() => {
  const state = { left: Number.POSITIVE_INFINITY, after: false };
  return {
    arm(left: number, after: boolean) {
      Object.assign(state, { left, after });
    },
    disarm() {
      state.left = Number.POSITIVE_INFINITY;
    },
    step<T>(work: () => T): T {
      state.left--;
      if (state.left !== 0) return work();
      if (!state.after) throw new Error('killed');
      const result = work();
      if (result instanceof Promise) {
        return result.then(() => {
          throw new Error('killed');
        }) as T;
      }
      throw new Error('killed');
    },
  };
});

vi.mock('node:fs', async (importOriginal) => {
  const real = await importOriginal<typeof import('node:fs')>();
  const counted = (name: 'mkdirSync' | 'openSync' | 'writeSync' | 'fsyncSync' | 'renameSync') => {
    const original = real[name] as (...args: unknown[]) => unknown;
    return (...args: unknown[]) => steps.step(() => original(...args));
  };
  return {
    ...real,
    mkdirSync: counted('mkdirSync'),
    openSync: counted('openSync'),
    writeSync: counted('writeSync'),
    fsyncSync: counted('fsyncSync'),
    renameSync: counted('renameSync'),
  };
});

/** The store with every call of its parts counted as a step. */
function counting(store: Store): Store {
  const part = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const value: unknown = Reflect.get(object, name);
        if (typeof value !== 'function' || name === 'readAll' || name === 'unlock') return value;
        return (...args: unknown[]) =>
          steps.step(() => (value as (...given: unknown[]) => unknown).apply(object, args));
      },
    });
  return {
    ...store,
    keys: part(store.keys),
    secrets: part(store.secrets),
    settings: part(store.settings),
    audit: part(store.audit),
  };
}

const closing = useCleanup();
type Env = Record<string, string>;
let home = '';
let directory = '';
let store: Store;
let raw: Database.Database;
let env: Env;
beforeEach(async () => {
  steps.disarm();
  env = {};
  home = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-rotate-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
  directory = join(home, 'alpha');
  mkdirSync(directory, { mode: 0o700 });
  const path = serverPaths(directory, {}).database;
  store = closing((await openStoreAndMigrate(path)).store, (it) => it.close());
  raw = closing(new Database(path), (it) => it.close());
});

const key64 = (key: Buffer) => key.toString('base64');
const unlock = () =>
  unlockKeys(
    store,
    { env, serverDirectory: directory },
    { mayCreate: true, holdUnreadable: false, by: by(NOON) },
  );
const ring = () => loadKeyring(store, { env, serverDirectory: directory });
const contextOf = async () => ({
  store,
  keyring: await ring(),
  actor: { kind: 'os-user', name: 'test' } as const,
  now: () => NOON,
});
async function fill(accounts = 3): Promise<void> {
  const context = await contextOf();
  await putTenant(
    context,
    'acme',
    { clientBaseUrl: 'https://acme.example', clientAuth: { method: 'bearer', token: 't' } },
    {},
    'create',
  );
  await Promise.all(
    Array.from({ length: accounts }, (_, n) =>
      putAccount(context, 'acme', `a${n}`, { host: 'smtp.example.com', user: 'u', password: `p${n}` }, 'add'),
    ),
  );
}
const rotation = (changes: Partial<RotationContext> = {}): RotationContext => ({
  store,
  serverDirectory: directory,
  loadKeyring: ring,
  by: () => by(NOON),
  daemonRuns: () => false,
  onProgress: () => undefined,
  ...changes,
});
const rotate = (newKey?: Buffer, changes: Partial<RotationContext> = {}, dryRun = false) =>
  rotateKey(rotation(changes), newKey, { dryRun });
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const everything = () =>
  JSON.stringify(
    ['keys', 'settings', 'accounts', 'tenants', 'audit_keys', 'audit_events'].map((table) =>
      raw.prepare(`SELECT * FROM ${table}`).all(),
    ),
  );
const files = () =>
  readdirSync(directory, { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.key'))
    .sort();

/** Every secret opens with what is on disk, and under a key that is in use. */
async function expectAllOpen(): Promise<void> {
  const keyring = await ring();
  expect((await verifySecrets(store, keyring)).unreadable).toEqual([]);
  const inUse = await store.keys.ids();
  const onDisk = findKeys(env, directory, inUse).map(({ id }) => id);
  for (const id of (await store.secrets.countByKey()).keys()) {
    expect(inUse).toContain(id);
    expect(onDisk).toContain(id);
  }
}

describe('a key in the server’s own directory', () => {
  beforeEach(async () => {
    await unlock();
    await fill();
  });

  test('is replaced by a generated one: every secret is under it, the old one is retired and put aside', async () => {
    const old = await store.keys.primaryId();
    const result = await rotate();
    expect(result).toMatchObject({ dryRun: false, reencrypted: 6, retired: [old] });
    expect(await store.keys.primaryId()).toBe(result.keyId);
    expect([...(await store.secrets.countByKey())]).toEqual([[result.keyId, 6]]);
    expect(files()).toEqual([`keys/${result.keyId}.key`, `keys/retired/${old}.key`]);
    for (const file of files()) expect(statSync(join(directory, file)).mode & 0o777).toBe(0o600);
    for (const folder of ['keys', 'keys/retired'])
      expect(statSync(join(directory, folder)).mode & 0o777).toBe(0o700);
    await expectAllOpen();
    const events = (await store.audit.list({}, { limit: 4 })).map(({ event }) => event);
    expect(events).toEqual(['key.retired', 'secrets.reencrypted', 'key.primary', 'key.added']);
    expect(await verifyAudit(store, await ring())).toMatchObject({ ok: true });
  });

  test('is replaced by a given one, and that by another; a restart finds the last', async () => {
    const [first, second] = [randomBytes(32), randomBytes(32)];
    expect((await rotate(first)).keyId).toBe(keyIdOf(first));
    expect((await rotate(second)).retired).toEqual([keyIdOf(first)]);
    expect((await unlock()).keyring.primaryId).toBe(keyIdOf(second));
    await expectAllOpen();
    await expect(rotate(second)).rejects.toThrow(coded('usage', /in use already/));
  });

  test('changes nothing in a dry run', async () => {
    const before = everything();
    expect(await rotate(undefined, {}, true)).toMatchObject({
      dryRun: true,
      reencrypted: 6,
      retired: [await store.keys.primaryId()],
    });
    expect([everything(), files()]).toEqual([before, ['encryption.key']]);
  });

  test('leaves the version of credentials as it is: no connection is cut for it', async () => {
    const versions = () =>
      raw.prepare('SELECT id, credential_version, updated_at FROM accounts ORDER BY id').all();
    const before = versions();
    await rotate();
    expect(versions()).toEqual(before);
    const context = await contextOf();
    await putAccount(context, 'acme', 'a0', { limitDay: 3 }, 'update');
    expect(raw.prepare("SELECT credential_version FROM accounts WHERE id = 'a0'").pluck().get()).toBe(1);
  });

  test('a row that was tampered with stops the rotation, and nothing is retired', async () => {
    const old = await store.keys.primaryId();
    raw.exec("UPDATE accounts SET host = 'evil.example' WHERE id = 'a1'");
    await expect(rotate()).rejects.toThrow(coded('credential_unreadable', /a1/));
    expect(await store.keys.ids()).toContain(old);
    expect((await store.keys.list()).filter(({ retiredAt }) => retiredAt !== null)).toEqual([]);
    expect(files()).toContain('encryption.key');
    raw.exec("UPDATE accounts SET host = 'smtp.example.com' WHERE id = 'a1'");
    expect((await rotate()).retired).toEqual([old]);
    await expectAllOpen();
  });

  test('a row that only claims to be under the new key is caught before anything is retired', async () => {
    const [old, next] = [await store.keys.primaryId(), randomBytes(32)];
    raw.prepare("UPDATE accounts SET password_key_id = ? WHERE id = 'a1'").run(keyIdOf(next));
    await expect(rotate(next)).rejects.toThrow(coded('credential_unreadable', /No key was retired/));
    expect(await store.keys.ids()).toContain(old);
  });

  test('a secret that is sealed under the old key meanwhile is taken along', async () => {
    const [context, old] = [await contextOf(), await store.keys.primaryId()];
    let done = false;
    const onProgress = () => {
      if (done) return;
      done = true;
      const sealed = context.keyring.seal('late', webhookSecretAdditionalData('acme'), old);
      raw
        .prepare('UPDATE tenants SET webhook_secret = ?, webhook_secret_key_id = ?')
        .run(sealed.value, sealed.keyId);
    };
    expect((await rotate(undefined, { onProgress })).retired).toEqual([old]);
    await expectAllOpen();
    const { webhookSecret } = (await store.tenants.get(tenantScope('acme'))) ?? {};
    expect(
      webhookSecret && (await ring()).open(webhookSecret, webhookSecretAdditionalData('acme'), 'It'),
    ).toBe('late');
  });

  test('one that is sealed under it in the last moment keeps it in use; run again, it is taken along', async () => {
    const [context, old] = [await contextOf(), await store.keys.primaryId()];
    const late: Store = {
      ...store,
      keys: {
        ...store.keys,
        retire(id, change) {
          const sealed = context.keyring.seal('late', webhookSecretAdditionalData('acme'), old);
          raw
            .prepare('UPDATE tenants SET webhook_secret = ?, webhook_secret_key_id = ?')
            .run(sealed.value, sealed.keyId);
          return store.keys.retire(id, change);
        },
      },
    };
    await expect(rotate(undefined, { store: late })).rejects.toThrow(coded('usage', /still needed by 1/));
    await expectAllOpen();
    expect((await rotate()).retired).toEqual([old]);
    await expectAllOpen();
  });

  test('a key file that was written but not recorded is adopted', async () => {
    const orphan = randomBytes(32);
    writeKeyFile(rotatedKeyFile(directory, keyIdOf(orphan)), orphan);
    expect((await rotate()).keyId).toBe(keyIdOf(orphan));
    await expectAllOpen();
  });

  test('another new key than that of an unfinished rotation is refused, not silently passed over', async () => {
    const [begun, other] = [randomBytes(32), randomBytes(32)];
    writeKeyFile(rotatedKeyFile(directory, keyIdOf(begun)), begun);
    await store.keys.add(keyIdOf(begun), rotatedKeyFile(directory, keyIdOf(begun)), by(NOON + 1));
    const before = everything();
    await expect(rotate(other)).rejects.toThrow(coded('usage', /not finished/));
    expect(everything()).toBe(before);
    expect((await rotate(begun)).keyId).toBe(keyIdOf(begun));
  });

  test('a key that was added to decrypt never becomes primary by a restart', async () => {
    const [primary, added] = [await store.keys.primaryId(), randomBytes(32)];
    const path = rotatedKeyFile(directory, keyIdOf(added));
    writeKeyFile(path, added);
    await store.keys.add(keyIdOf(added), `added: ${path}`, by(NOON + 1));
    expect((await unlock()).keyring.primaryId).toBe(primary);
    expect(await store.keys.primaryId()).toBe(primary);
    const { keyId } = await rotate();
    expect([primary, keyIdOf(added)]).not.toContain(keyId);
  });

  test('a running daemon takes the new key up before it is primary, and seals under it from then on', async () => {
    const live = new LiveKeyring(store, { env, serverDirectory: directory }, await ring());
    await live.publish();
    const primary = await store.keys.primaryId();
    const rotating = rotate(undefined, { daemonRuns: () => true });
    while ((await store.keys.ids()).length < 2) await new Promise((resolve) => setImmediate(resolve));
    expect(await store.keys.primaryId()).toBe(primary);
    await live.reload();
    const { keyId } = await rotating;
    await live.reload();
    expect([live.current.primaryId, live.current.canSeal]).toEqual([keyId, true]);
    expect((await verifySecrets(store, live.current)).unreadable).toEqual([]);
  });

  test('one rotation at a time', async () => {
    const lock = closing(takeServerLock(`${store.path}.rotation.lock`), (it) => it.release());
    const run = async () =>
      rotateServerKey(await contextOf(), { name: 'alpha', directory }, env, undefined, {
        dryRun: false,
        onProgress: () => undefined,
      });
    const before = everything();
    await expect(run()).rejects.toThrow(coded('already_exists'));
    expect(everything()).toBe(before);
    lock.release();
    expect((await run()).reencrypted).toBe(6);
  });
});

describe.each([
  ['before', false],
  ['after', true],
])('killed %s any step', (_when, after) => {
  test('every secret opens under a key in use, and running it again ends it', async () => {
    await unlock();
    await fill(260);
    let killed = 0;
    for (let n = 1; ; n++) {
      steps.arm(n, after);
      const finished = await rotate(undefined, {
        store: counting(store),
        loadKeyring: () => steps.step(ring),
      }).then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof Error && error.message === 'killed')) throw error;
          return false;
        },
      );
      steps.disarm();
      await expectAllOpen();
      if (finished) break;
      killed++;
      const { keyId } = await rotate();
      await expectAllOpen();
      expect([...(await store.secrets.countByKey()).keys()]).toEqual([keyId]);
      expect(await store.keys.ids()).toEqual([keyId]);
      expect(files().filter((name) => !name.startsWith('keys/retired/'))).toEqual([`keys/${keyId}.key`]);
      expect((await unlock()).keyring.primaryId).toBe(keyId);
    }
    expect(killed).toBeGreaterThan(25);
    expect(await verifyAudit(store, await ring())).toMatchObject({ ok: true });
  }, 60_000);
});

describe('a key from outside', () => {
  const [old, next] = [randomBytes(32), randomBytes(32)];
  beforeEach(async () => {
    env = { MAIL_PROXY_ENCRYPTION_KEY: key64(old) };
    await unlock();
    await fill();
  });
  const both = () => ({
    MAIL_PROXY_ENCRYPTION_KEY: key64(next),
    MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: key64(old),
  });

  test('is not changed from here: the command says what to do and changes nothing', async () => {
    const before = everything();
    for (const given of [undefined, next]) {
      await expect(rotate(given)).rejects.toThrow(coded('key_missing', /MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS/));
    }
    expect([everything(), files()]).toEqual([before, []]);
    expect(existsSync(join(directory, 'keys'))).toBe(false);
  });

  test('waits for a running daemon to hold the new one', async () => {
    await store.settings.tell('daemon_key_ids', JSON.stringify([keyIdOf(old)]));
    const before = everything();
    env = both();
    await expect(rotate(undefined, { daemonRuns: () => true })).rejects.toThrow(
      coded('key_missing', /[Rr]estart/),
    );
    expect(everything()).toBe(before);
  });

  test('after a restart with both, every secret goes under the new one and the old one is retired', async () => {
    env = both();
    await unlock();
    expect(await rotate()).toMatchObject({ keyId: keyIdOf(next), reencrypted: 6, retired: [keyIdOf(old)] });
    env = { MAIL_PROXY_ENCRYPTION_KEY: key64(next) };
    await unlock();
    await expectAllOpen();
    await expect(rotate()).rejects.toThrow(coded('key_missing'));
  });

  test('without the old one nothing is changed', async () => {
    env = { MAIL_PROXY_ENCRYPTION_KEY: key64(next) };
    const before = everything();
    await expect(rotate()).rejects.toThrow(coded('key_missing'));
    expect(everything()).toBe(before);
  });

  test('killed before the old one was retired, it is retired when run again', async () => {
    env = both();
    await unlock();
    const dies: Store = {
      ...store,
      keys: { ...store.keys, retire: () => Promise.reject(new Error('killed')) },
    };
    await expect(rotate(undefined, { store: dies })).rejects.toThrow('killed');
    expect((await rotate()).retired).toEqual([keyIdOf(old)]);
  });

  test('a mounted secrets file is rotated the same way', async () => {
    const [file, previous] = [join(home, 'key'), join(home, 'old')];
    writeFileSync(file, next, { mode: 0o600 });
    writeFileSync(previous, old, { mode: 0o600 });
    env = { MAIL_PROXY_ENCRYPTION_KEY_FILE: file, MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE: previous };
    await unlock();
    expect((await rotate()).retired).toEqual([keyIdOf(old)]);
    await expectAllOpen();
  });
});

import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { reencryptAll } from '../../src/services/reencrypt.js';
import { loadKeyring, unlockKeys } from '../../src/services/unlock-keys.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { by, NOON, openTempStore, type TempStore, tenantChange } from '../support/temp-store.js';

const closing = useCleanup();
let temp: TempStore;
let serverDirectory = '';
let keyFile = '';
beforeEach(async () => {
  temp = closing(await openTempStore(), (it) => it.close());
  serverDirectory = join(temp.directory, 'server');
  keyFile = join(serverDirectory, 'encryption.key');
});

type Env = Record<string, string>;
const coded = (code: string) => expect.objectContaining({ code, exitCode: 4 });
const unlock = (env: Env = {}, mayCreate = true, now = NOON) =>
  unlockKeys(temp.store, { env, serverDirectory }, { mayCreate, holdUnreadable: false, by: by(now) });
const envKey = (key: Buffer): Env => ({ MAIL_PROXY_ENCRYPTION_KEY: key.toString('base64') });

/** A secret of a tenant under the primary key of `env`. */
async function seal(env: Env = {}): Promise<void> {
  const ring = await loadKeyring(temp.store, { env, serverDirectory });
  await temp.store.tenants.put(tenantScope('acme'), by(NOON), () =>
    tenantChange({ webhookSecret: ring.seal('s', 'here') }),
  );
}

async function openSealed(env: Env = {}): Promise<string> {
  const ring = await loadKeyring(temp.store, { env, serverDirectory });
  const sealed = (await temp.store.tenants.get(tenantScope('acme')))?.webhookSecret;
  return sealed == null ? '' : ring.open(sealed, 'here', 'It');
}

describe('the first start', () => {
  test('makes a key that only the owner can read, whatever the umask, and uses it from then on', async () => {
    const umask = process.umask(0);
    closing(umask, (before) => process.umask(before));
    const first = await unlock();
    expect(first.createdFile).toBe(keyFile);
    expect(statSync(keyFile).mode & 0o777).toBe(0o600);
    expect(readFileSync(keyFile)).toHaveLength(32);
    expect(readdirSync(serverDirectory).filter((name) => name.includes('key'))).toEqual(['encryption.key']);
    expect(await temp.store.keys.primaryId()).toBe(keyIdOf(readFileSync(keyFile)));
    await seal();
    expect((await unlock()).createdFile).toBeUndefined();
    expect(await openSealed()).toBe('s');
  });

  test('makes none when it may not, and none when one is given', async () => {
    await expect(unlock({}, false)).rejects.toThrow(coded('key_missing'));
    const { keyring, createdFile } = await unlock(envKey(randomBytes(32)));
    expect([keyring.canSeal, createdFile, existsSync(keyFile)]).toEqual([true, undefined, false]);
  });

  test('does not fall back to a new key when the file that is there cannot be used', async () => {
    writeFileSync(keyFile, 'short', { mode: 0o600 });
    await expect(unlock()).rejects.toThrow(coded('key_invalid'));
    writeFileSync(keyFile, randomBytes(32));
    chmodSync(keyFile, 0o644);
    await expect(unlock()).rejects.toThrow(expect.objectContaining({ code: 'unsafe_permissions' }));
  });

  test('warns of the key that is printed in the documentation', async () => {
    const published = { MAIL_PROXY_ENCRYPTION_KEY: 'K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=' };
    expect((await unlock(published)).warnings).toEqual([expect.stringContaining('known to everyone')]);
  });

  test('needs more than a key that only decrypts', async () => {
    const env = { MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: randomBytes(32).toString('base64') };
    await expect(unlock(env)).rejects.toThrow(/decrypts but never encrypts/);
  });
});

describe('a server that holds secrets', () => {
  test('never gets a new key: it refuses to start without its own, by id and number, and changes nothing', async () => {
    await unlock();
    await seal();
    const id = keyIdOf(readFileSync(keyFile));
    // The tenant's secret and the key of the audit trail.
    rmSync(keyFile);
    await expect(unlock()).rejects.toThrow(coded('key_missing'));
    await expect(unlock()).rejects.toThrow(new RegExp(`2 stored secret\\(s\\) need key ${id}`));
    await expect(unlock(envKey(randomBytes(32)))).rejects.toThrow(coded('key_missing'));
    expect(existsSync(keyFile)).toBe(false);
    expect(await temp.store.keys.primaryId()).toBe(id);
    expect(await temp.store.keys.ids()).toEqual([id]);
  });

  test('takes another key as primary while the old one is still at hand, and opens both', async () => {
    const [old, next] = [randomBytes(32), randomBytes(32)];
    await unlock(envKey(old));
    await seal(envKey(old));
    const env = { ...envKey(next), MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: old.toString('base64') };
    await unlock(env, false, NOON + 1);
    expect(await temp.store.keys.primaryId()).toBe(keyIdOf(next));
    expect(await temp.store.keys.ids()).toEqual([keyIdOf(next), keyIdOf(old)]);
    expect(await openSealed(env)).toBe('s');
    await seal(env);
    // The key of the audit trail is a secret too.
    await expect(unlock(envKey(next), false)).rejects.toThrow(/1 stored secret/);
    await reencryptAll(temp.store, await loadKeyring(temp.store, { env, serverDirectory }), () => undefined);
    await unlock(envKey(next), false);
    expect(await openSealed(envKey(next))).toBe('s');
  });

  test('finds the key of a rotation by the id that it recorded', async () => {
    const key = randomBytes(32);
    await unlock(envKey(key));
    await seal(envKey(key));
    mkdirSync(join(serverDirectory, 'keys'), { mode: 0o700 });
    writeFileSync(join(serverDirectory, 'keys', `${keyIdOf(key)}.key`), key, { mode: 0o600 });
    expect((await unlock({}, false)).keyring.primaryId).toBe(keyIdOf(key));
    expect(await openSealed()).toBe('s');
  });
});

test('a command without the primary key cannot seal, and looking changes nothing', async () => {
  await unlock(envKey(randomBytes(32)));
  const before = await temp.store.settings.generation();
  const ring = await loadKeyring(temp.store, { env: {}, serverDirectory });
  expect(ring.canSeal).toBe(false);
  expect(await temp.store.settings.generation()).toBe(before);
});

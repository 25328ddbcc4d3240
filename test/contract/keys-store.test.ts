import { randomBytes } from 'node:crypto';
import { beforeEach, expect, test } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { listKeys } from '../../src/services/list-keys.js';
import { reencryptAll } from '../../src/services/reencrypt.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
let first = '';
const [next, key] = (() => {
  const bytes = randomBytes(32);
  return [keyIdOf(bytes), bytes] as const;
})();
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  await opened.addTenant('acme', 'acme-token');
  first = opened.keyring.primaryId ?? '';
});
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const ring = () =>
  new Keyring([{ id: next, key, source: 'new', kind: 'environment' }, ...opened.keyring.keys], next);

test('the primary comes first, whatever was recorded since', async () => {
  const { keys } = opened.store;
  await keys.add(next, 'file', by(NOON * 2));
  expect(await keys.ids()).toEqual([first, next]);
  await keys.makePrimary(next, 'file', by(NOON * 2));
  expect(await keys.ids()).toEqual([next, first]);
  expect(await keys.primaryId()).toBe(next);
});

test('the primary cannot be retired, nor a key that a secret needs, and the refusal changes nothing', async () => {
  const { keys, audit } = opened.store;
  await expect(keys.retire(first, by(NOON))).rejects.toThrow(coded('usage', /another primary/));
  await keys.makePrimary(next, 'file', by(NOON));
  const head = await audit.head();
  await expect(keys.retire(first, by(NOON))).rejects.toThrow(coded('usage', /still needed by 2/));
  await expect(keys.retire('0'.repeat(16), by(NOON))).rejects.toThrow(coded('not_found'));
  expect([await keys.ids(), await audit.head()]).toEqual([[next, first], head]);
  await reencryptAll(opened.store, ring(), () => undefined);
  await keys.retire(first, by(NOON));
  expect(await keys.ids()).toEqual([next]);
  await expect(keys.retire(first, by(NOON))).rejects.toThrow(coded('not_found'));
});

test('a retired key that is added again is in use again', async () => {
  const { keys } = opened.store;
  await keys.add(next, 'file', by(NOON));
  await keys.retire(next, by(NOON));
  await keys.add(next, 'other', by(NOON + 1));
  expect(await keys.list()).toContainEqual({
    id: next,
    source: 'other',
    recordedAt: NOON + 1,
    retiredAt: null,
  });
});

test('a list shows ids, sources and how many secrets each opens, never a key', async () => {
  await opened.store.keys.makePrimary(next, 'file', by(NOON));
  const listed = await listKeys({ store: opened.store, keyring: opened.keyring });
  expect(listed).toEqual([
    expect.objectContaining({ id: next, source: null, primary: true, secrets: 0, retired_at: null }),
    expect.objectContaining({ id: first, source: 'test', primary: false, secrets: 2 }),
  ]);
  const text = JSON.stringify(listed);
  for (const { key: bytes } of [...opened.keyring.keys, ...ring().keys]) {
    for (const form of ['base64', 'hex'] as const) expect(text).not.toContain(bytes.toString(form));
  }
});

import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { ACME, ADMIN, account, openTestApp, type TestApp } from '../support/http.js';
import { openRaw } from '../support/tenant-rows.js';

let server: TestApp;
/** What the daemon holds, and what it would find if it looked again. */
let held: Keyring | undefined;
let found: Keyring | undefined;
let reloads = 0;
beforeEach(async () => {
  held = undefined;
  found = undefined;
  reloads = 0;
  server = await openTestApp({
    keyring: () => held ?? server.keyring,
    async reloadKeys() {
      reloads++;
      held = found ?? held;
    },
  });
});
afterEach(() => server.close());

const admin = (method: string, path: string, json?: unknown) =>
  server.request(method, path, { token: ADMIN, ...(json === undefined ? {} : { json }) });
const addAccount = () => admin('POST', '/account', account({ tenant_id: 'acme' }));
const newKey = () => {
  const key = randomBytes(32);
  return { id: keyIdOf(key), key, source: 'a new place', kind: 'environment' as const };
};

test.each(['GET /keys', 'POST /keys/verify', 'POST /keys/reencrypt'])(
  '%s is for the admin alone',
  async (route) => {
    const [method = '', path = ''] = route.split(' ');
    expect(await server.request(method, path, { token: ACME })).toMatchObject({
      status: 403,
      json: { code: 'forbidden' },
    });
    expect((await server.request(method, path)).status).toBe(401);
  },
);

test('lists keys by id with source and number of secrets, never a key', async () => {
  await addAccount();
  const { json, text } = await admin('GET', '/keys');
  const [key] = server.keyring.keys;
  expect(json).toEqual({
    ok: true,
    keys: [
      {
        id: key?.id,
        source: 'test',
        primary: true,
        secrets: expect.any(Number),
        recorded_at: expect.stringMatching(/Z$/),
        retired_at: null,
      },
    ],
  });
  expect((json.keys as Array<{ secrets: number }>)[0]?.secrets).toBeGreaterThanOrEqual(2);
  for (const form of ['base64', 'hex', 'base64url'] as const)
    expect(text).not.toContain(key?.key.toString(form));
});

describe('POST /keys/verify', () => {
  test('opens everything that is stored', async () => {
    await addAccount();
    const { json } = await admin('POST', '/keys/verify');
    expect(json).toEqual({ ok: true, checked: expect.any(Number), unreadable: [] });
  });

  test('names what does not open and the likely reason, never the secret', async () => {
    await addAccount();
    const raw = openRaw(server.path);
    raw.prepare("UPDATE accounts SET host = 'evil.example'").run();
    raw.close();
    const { status, json, text } = await admin('POST', '/keys/verify');
    expect({ status, json }).toMatchObject({
      status: 200,
      json: {
        ok: false,
        unreadable: [
          {
            what: expect.stringContaining('smtp1'),
            key_id: server.keyring.primaryId,
            reason: expect.stringMatching(/moved|edited|changed/),
          },
        ],
      },
    });
    expect(text).not.toMatch(/swordfish|ENC:/);
  });

  test('says of which key it is that is not there', async () => {
    await addAccount();
    const other = newKey();
    held = new Keyring([other], other.id);
    const { json } = await admin('POST', '/keys/verify');
    expect(json.ok).toBe(false);
    expect(JSON.stringify(json.unreadable)).toContain(`key ${server.keyring.primaryId} is not available`);
  });
});

describe('POST /keys/reencrypt', () => {
  test('puts everything under the key that has become primary', async () => {
    await addAccount();
    const key = newKey();
    await server.store.keys.makePrimary(key.id, key.source, { actor: { kind: 'daemon' }, now: 1 });
    held = new Keyring([key, ...server.keyring.keys], key.id);
    const { status, json } = await admin('POST', '/keys/reencrypt');
    expect({ status, json }).toMatchObject({ status: 200, json: { ok: true, key_id: key.id } });
    expect(json.reencrypted).toBeGreaterThanOrEqual(2);
    expect([...(await server.store.secrets.countByKey()).keys()]).toEqual([key.id]);
    held = new Keyring([key], key.id);
    expect((await admin('POST', '/keys/verify')).json).toMatchObject({ ok: true, unreadable: [] });
    expect((await admin('POST', '/keys/reencrypt')).json).toMatchObject({ ok: true, reencrypted: 0 });
  });

  test('without the old key it changes nothing and says which', async () => {
    await addAccount();
    const key = newKey();
    await server.store.keys.makePrimary(key.id, key.source, { actor: { kind: 'daemon' }, now: 1 });
    held = new Keyring([key], key.id);
    const before = await server.store.secrets.countByKey();
    const { status, json } = await admin('POST', '/keys/reencrypt');
    expect({ status, json }).toMatchObject({ status: 503, json: { ok: false, code: 'key_missing' } });
    expect(json.error).toContain(server.keyring.primaryId);
    expect(await server.store.secrets.countByKey()).toEqual(before);
  });
});

describe('a key that was made primary a moment ago', () => {
  test('is looked for once more before a change is refused', async () => {
    const key = newKey();
    await server.store.keys.makePrimary(key.id, key.source, { actor: { kind: 'daemon' }, now: 1 });
    held = new Keyring(server.keyring.keys, key.id);
    found = new Keyring([key, ...server.keyring.keys], key.id);
    expect((await addAccount()).status).toBe(200);
    expect(reloads).toBe(1);
    expect((await server.store.secrets.countByKey()).get(key.id)).toBe(1);
  });

  test('is looked for once, and what needs it is 503 with nothing changed', async () => {
    const key = newKey();
    await server.store.keys.makePrimary(key.id, key.source, { actor: { kind: 'daemon' }, now: 1 });
    held = new Keyring(server.keyring.keys, key.id);
    expect(await addAccount()).toMatchObject({ status: 503, json: { ok: false, code: 'key_missing' } });
    expect(reloads).toBe(1);
    expect((await admin('GET', '/accounts?tenant_id=acme')).json.accounts).toEqual([]);
  });
});

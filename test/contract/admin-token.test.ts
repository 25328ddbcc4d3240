import { beforeEach, expect, test } from 'vitest';
import { hashToken } from '../../src/crypto/token.js';
import { checkAdminToken, settleAdminToken } from '../../src/services/admin-token.js';
import { authenticator } from '../../src/services/authenticate.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
});

const settle = (given: string | undefined, mayCreate = true, fromEnvironment = true) =>
  settleAdminToken(opened.store, given === undefined ? undefined : { token: given, fromEnvironment }, {
    mayCreate,
    by: by(NOON),
  });
const whoHas = (token: string) => authenticator(opened.store)(token, opened.clock.now);
const coded = (code: string) => expect.objectContaining({ code });

test('pitfall 2: a daemon without an admin token makes one, tells it once, and keeps only its hash', async () => {
  await expect(settle(undefined, false)).rejects.toThrow(coded('token_missing'));
  const { generated } = await settle(undefined);
  expect(generated).toMatch(/^mpa_/);
  expect(await opened.store.settings.get('admin_token_hash')).toBe(hashToken(generated ?? ''));
  expect(await settle(undefined)).toEqual({ generated: undefined, warnings: [] });
  expect(await settle(undefined, false)).toEqual({ generated: undefined, warnings: [] });
  expect(await whoHas(generated ?? '')).toEqual({ kind: 'admin' });
});

test('one that is given takes the place of the stored one; a short one is warned about', async () => {
  const { generated } = await settle(undefined);
  expect((await settle('sixteen bytes ok')).warnings).toEqual([]);
  expect(await whoHas(generated ?? '')).toBeUndefined();
  expect(await whoHas('sixteen bytes ok')).toEqual({ kind: 'admin' });
  expect((await settle('short')).warnings).toEqual([expect.stringMatching(/shorter than 16/)]);
  expect((await settle('short')).warnings.join()).not.toContain("'short'");
});

test.each(['', 'x'.repeat(513)])(
  'one of an impossible length is refused and changes nothing',
  async (token) => {
    await settle('the one that stays');
    await expect(settle(token)).rejects.toThrow(coded('validation_failed'));
    expect(await whoHas('the one that stays')).toEqual({ kind: 'admin' });
  },
);

test('one that a tenant has is refused: the two could not be told apart', async () => {
  await opened.addTenant('acme', 'acme-token');
  await expect(settle('acme-token')).rejects.toThrow(coded('already_exists'));
  expect(await whoHas('acme-token')).toEqual({
    kind: 'tenant',
    tenantId: 'acme',
    tokenName: 'default',
    tokenPk: 1,
  });
});

test('pitfall 8: odd tokens belong to nobody, and are no failure', async () => {
  await settle('the admin');
  for (const token of ['', 'é€', '\0', 'x'.repeat(100_000), 'the admin ', 'The admin']) {
    expect(await whoHas(token)).toBeUndefined();
  }
});

test('whether it could be settled can be asked without changing anything', async () => {
  const check = (given: string | undefined, mayCreate: boolean) =>
    checkAdminToken(opened.store, given === undefined ? undefined : { token: given }, { mayCreate });
  await expect(check(undefined, false)).rejects.toThrow(coded('token_missing'));
  await expect(check('', true)).rejects.toThrow(coded('validation_failed'));
  await check(undefined, true);
  await check('a-token-of-our-own', false);
  expect(await opened.store.settings.get('admin_token_hash')).toBeUndefined();
});

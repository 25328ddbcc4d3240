import { beforeEach, describe, expect, test } from 'vitest';
import type { AccountInput } from '../../src/core/account-settings.js';
import { putAccount } from '../../src/services/put-account.js';
import { tenantScope } from '../../src/store/scope.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
let it: TestDispatch;
beforeEach(async () => {
  it = closing(await openTestDispatch(), (opened) => opened.close());
});
const auth = { user: 'u', password: 'p' };
const serve = async (settings: SmtpServerSettings) =>
  closing(await startSmtpServer(settings), (server) => server.close());
const stored = () => it.store.accounts.get(tenantScope('acme'), 'smtp1');
const update = (changes: AccountInput) =>
  putAccount(it.context, 'acme', 'smtp1', { password: 'p', ...changes }, 'update');
const refused = expect.objectContaining({ code: 'downgrade_refused' });

/** Sends one message through a server; the account is put as the server is, with these changes. */
async function deliver(settings: SmtpServerSettings, changes: AccountInput = {}): Promise<void> {
  const { host, port, tls, tlsCa } = (await serve({ auth, ...settings })).endpoint();
  await it.account('acme', { host, port, tls, ...(tls === 'none' ? {} : { tlsCa }), ...auth, ...changes });
  await it.enqueue('acme', 'm1');
  await it.dispatcher.start();
  await it.until('acme', 'm1', ({ status }) => status === 'sent');
}
async function verifiedAt(): Promise<number | null | undefined> {
  for (;;) {
    const at = (await stored())?.verifiedTlsAt;
    if (at !== null) return at;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe.each(['starttls', 'ssl'] as const)('an account that delivered over verified %s', (tls) => {
  beforeEach(() => deliver({ tls }));

  test('is known for it, which no change of a limit forgets', async () => {
    expect(await verifiedAt()).toBe(it.clock.now);
    await update({ limitDay: 5 });
    expect((await stored())?.verifiedTlsAt).toBe(it.clock.now);
  });

  test('is never made weaker in passing, only on purpose', async () => {
    await verifiedAt();
    const before = await stored();
    for (const weaker of [{ tls: 'none' as const, tlsCa: null }, { tlsVerify: false }]) {
      await expect(update(weaker)).rejects.toThrow(refused);
      await expect(update({ ...weaker, host: 'other.example.com' })).rejects.toThrow(refused);
      await expect(update({ ...weaker, allowDowngrade: false })).rejects.toThrow(refused);
    }
    const { host = '', port = 0 } = before ?? {};
    await expect(
      putAccount(it.context, 'acme', 'smtp1', { host, port, tls: 'none', ...auth }, 'replace'),
    ).rejects.toThrow(refused);
    expect(await stored()).toEqual(before);
    expect(await update({ tlsVerify: false, allowDowngrade: true })).toMatchObject({ tlsVerify: false });
  });

  test('made weaker on purpose, it can be changed in other ways without saying so again, and back', async () => {
    await verifiedAt();
    await update({ tlsVerify: false, allowDowngrade: true });
    expect(await update({ limitDay: 7 })).toMatchObject({ limitDay: 7, tlsVerify: false });
    expect(await update({ tlsVerify: true })).toMatchObject({ tlsVerify: true });
    await expect(update({ tlsVerify: false })).rejects.toThrow(refused);
  });

  test('may change from one verified mode to the other', async () => {
    await verifiedAt();
    expect((await update({ tls: tls === 'ssl' ? 'starttls' : 'ssl' })).tlsVerify).toBe(true);
  });
});

test.each<[string, SmtpServerSettings, AccountInput]>([
  ['in clear', { tls: 'none' }, {}],
  ['over TLS that nobody verified', { tls: 'starttls' }, { tlsVerify: false }],
])('one that delivered %s is not, and may be changed as one likes', async (_how, settings, changes) => {
  await deliver(settings, changes);
  await it.dispatcher.stop(1000);
  expect((await stored())?.verifiedTlsAt).toBeNull();
  expect(await update({ tls: 'none', tlsCa: null })).toMatchObject({ tls: 'none' });
});

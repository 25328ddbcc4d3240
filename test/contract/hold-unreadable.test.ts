import { randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import { reencryptAll, verifySecrets } from '../../src/services/reencrypt.js';
import { loadKeyring, unlockKeys } from '../../src/services/unlock-keys.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';
import { by, NOON, openTempStore, type TempStore } from '../support/temp-store.js';

const closing = useCleanup();

describe('the start of a server', () => {
  let temp: TempStore;
  const [own, other] = [randomBytes(32), randomBytes(32)];
  const envOf = (key: Buffer) => ({ MAIL_PROXY_ENCRYPTION_KEY: key.toString('base64') });
  const places = (key: Buffer) => ({ env: envOf(key), serverDirectory: temp.directory });
  const unlock = (key: Buffer, holdUnreadable: boolean) =>
    unlockKeys(temp.store, places(key), { mayCreate: true, holdUnreadable, by: by(NOON) });
  const everything = () =>
    JSON.stringify(
      ['keys', 'settings', 'audit_keys', 'audit_events', 'tenants'].map((table) =>
        temp.raw.prepare(`SELECT * FROM ${table}`).all(),
      ),
    );
  beforeEach(async () => {
    temp = closing(await openTempStore(), (it) => it.close());
    await unlock(own, false);
    const keyring = await loadKeyring(temp.store, places(own));
    const context = { store: temp.store, keyring, actor: { kind: 'daemon' } as const, now: () => NOON };
    await putTenant(context, 'acme', {}, {}, 'create');
    await putAccount(context, 'acme', 'smtp1', { host: 'a.example.com', user: 'u', password: 'p' }, 'add');
  });

  test('is refused while a stored secret has no key, by id and number, and changes nothing', async () => {
    const before = everything();
    await expect(unlock(other, false)).rejects.toThrow(
      expect.objectContaining({
        code: 'key_missing',
        message: expect.stringMatching(new RegExp(`^3 stored.*${keyIdOf(own)}`)),
      }),
    );
    expect(everything()).toBe(before);
  });

  test('goes on when it is said, with a warning and a new, marked chain; nothing is lost', async () => {
    const { keyring, warnings } = await unlock(other, true);
    expect(warnings.join('\n')).toMatch(new RegExp(`3 stored.*${keyIdOf(own)}.*held`, 's'));
    expect(keyring.primaryId).toBe(keyIdOf(other));
    expect(await verifyAudit(temp.store, keyring)).toMatchObject({
      ok: true,
      unverifiable: expect.any(Number),
    });
    expect([...(await temp.store.secrets.countByKey())]).toContainEqual([keyIdOf(own), 2]);
    expect(await temp.store.keys.ids()).toContain(keyIdOf(own));
    // The old key found again opens everything.
    const both = {
      env: { ...envOf(other), MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: own.toString('base64') },
      serverDirectory: temp.directory,
    };
    await unlockKeys(temp.store, both, { mayCreate: false, holdUnreadable: false, by: by(NOON) });
    expect(await verifyAudit(temp.store, await loadKeyring(temp.store, both))).toMatchObject({
      ok: true,
      unverifiable: 0,
    });
  });
});

describe('after a lost key', () => {
  test('what was set again is enough: the next start asks for nothing, and a rotation goes through', async () => {
    const temp = closing(await openTempStore(), (it) => it.close());
    const [lost, next] = [randomBytes(32), randomBytes(32)];
    const places = (key: Buffer) => ({
      env: { MAIL_PROXY_ENCRYPTION_KEY: key.toString('base64') },
      serverDirectory: temp.directory,
    });
    const unlock = (key: Buffer, holdUnreadable: boolean) =>
      unlockKeys(temp.store, places(key), { mayCreate: false, holdUnreadable, by: by(NOON) });
    const contextOf = async (key: Buffer) => ({
      store: temp.store,
      keyring: await loadKeyring(temp.store, places(key)),
      actor: { kind: 'daemon' } as const,
      now: () => NOON,
    });
    await unlock(lost, false);
    await putTenant(await contextOf(lost), 'acme', {}, {}, 'create');
    await putAccount(
      await contextOf(lost),
      'acme',
      'a',
      { host: 'a.example.com', user: 'u', password: 'p' },
      'add',
    );
    await unlock(next, true);
    await putAccount(await contextOf(next), 'acme', 'a', { password: 'p' }, 'update');
    await putTenant(await contextOf(next), 'acme', { webhookSecret: 'whsec_new' }, {}, 'update');
    await unlock(next, false);
    const { keyring } = await contextOf(next);
    expect((await verifySecrets(temp.store, keyring)).unreadable).toEqual([]);
    expect(await reencryptAll(temp.store, keyring, () => undefined)).toBe(0);
  });

  test('a key of the trail that was edited is not taken for a lost one: the start refuses and signs nothing', async () => {
    const temp = closing(await openTempStore(), (it) => it.close());
    const places = {
      env: { MAIL_PROXY_ENCRYPTION_KEY: randomBytes(32).toString('base64') },
      serverDirectory: temp.directory,
    };
    const unlock = () =>
      unlockKeys(temp.store, places, { mayCreate: false, holdUnreadable: true, by: by(NOON) });
    await unlock();
    temp.raw.exec("UPDATE audit_keys SET value = 'ENC:AAAA'");
    await expect(unlock()).rejects.toThrow(expect.objectContaining({ code: 'credential_unreadable' }));
    expect(await temp.store.audit.chains()).toHaveLength(1);
  });
});

describe('an account whose password does not open in its place', () => {
  let it: TestDispatch;
  let server: SmtpTestServer;
  let good: SmtpTestServer;
  beforeEach(async () => {
    it = closing(await openTestDispatch(), (opened) => opened.close());
    const auth = { user: 'u', password: 'p' };
    server = closing(await startSmtpServer({ tls: 'starttls', auth }), (opened) => opened.close());
    good = closing(await startSmtpServer({ tls: 'starttls', auth }), (opened) => opened.close());
    for (const id of ['acme', 'globex']) {
      const { host, port, tls, tlsCa, user, password } = server.endpoint();
      await it.account(id, { host, port, tls, tlsCa, user, password: password ?? '' });
    }
    await it.addTenant('third', 'third-token');
    const { host, port, tls, tlsCa, user, password } = good.endpoint();
    await it.account('third', { host, port, tls, tlsCa, user, password: password ?? '' });
    for (const id of ['acme', 'globex', 'third']) await it.enqueue(id, 'm1');
  });

  const held = () => it.store.audit.list({ event: 'account.held' }, { limit: 10 });
  /** Lets the other account send, three times over, while those are held. */
  async function othersGoOn(): Promise<void> {
    await it.dispatcher.start();
    await it.until('third', 'm1', ({ status }) => status === 'sent');
    for (const id of ['m2', 'm3']) {
      await it.enqueue('third', id);
      it.pass(60_000);
      await it.until('third', id, ({ status }) => status === 'sent');
    }
    expect(good.messages).toHaveLength(3);
  }

  test('two that were swapped by hand: the server sees no connection, the trail says so, others go on', async () => {
    const cells = it.raw
      .prepare("SELECT tenant_id, password FROM accounts WHERE tenant_id <> 'third' ORDER BY tenant_id")
      .all() as Array<{ password: string }>;
    it.raw.prepare("UPDATE accounts SET password = ? WHERE tenant_id = 'acme'").run(cells[1]?.password);
    it.raw.prepare("UPDATE accounts SET password = ? WHERE tenant_id = 'globex'").run(cells[0]?.password);
    await othersGoOn();
    expect(server.seen).toMatchObject({ connections: 0, auth: [] });
    expect(
      (await held()).map(({ tenantId, subject, actor, detail }) => [tenantId, subject, actor, detail]).sort(),
    ).toEqual([
      ['acme', 'smtp1', 'daemon', '{"reason":"credential_unreadable"}'],
      ['globex', 'smtp1', 'daemon', '{"reason":"credential_unreadable"}'],
    ]);
    for (const id of ['acme', 'globex']) expect((await it.message(id, 'm1')).status).toBe('pending');
    expect(it.log.filter((line) => line.includes('is held'))).toHaveLength(2);
  });

  test.each([
    ['host', "host = 'localhost'"],
    ['port', 'port = @port'],
    ['TLS', "tls = 'none'"],
    ['verification', 'tls_verify = 0'],
    ['authority', 'tls_ca = NULL'],
  ])('%s changed by hand: never dialled, and the other tenant goes on', async (_what, change) => {
    const other = closing(
      await startSmtpServer({ tls: 'none', auth: { user: 'u', password: 'p' } }),
      (opened) => opened.close(),
    );
    it.raw
      .prepare(`UPDATE accounts SET ${change.replace('@port', String(other.port))} WHERE tenant_id = 'acme'`)
      .run();
    await othersGoOn();
    await it.until('globex', 'm1', ({ status }) => status === 'sent');
    expect([other.seen.connections, server.messages.length]).toEqual([0, 1]);
    expect((await held()).map(({ tenantId }) => tenantId)).toEqual(['acme']);
  });

  test('changed by hand under a daemon that has connections open: they are given up, and nothing more is sent', async () => {
    await it.dispatcher.start();
    await it.until('acme', 'm1', ({ status }) => status === 'sent');
    const before = server.seen.auth.length;
    it.raw.prepare("UPDATE accounts SET host = 'localhost' WHERE tenant_id = 'acme'").run();
    await it.enqueue('acme', 'm2');
    it.pass(1);
    await it.until('third', 'm1', ({ status }) => status === 'sent');
    while ((await held()).length === 0) await new Promise((resolve) => setImmediate(resolve));
    await it.until('acme', 'm2', ({ status }) => status === 'pending');
    expect(server.seen.auth.length).toBeLessThanOrEqual(before + 1);
  });

  test('for want of its key: held, and sent once the password is set again', async () => {
    it.raw.prepare("UPDATE accounts SET password_key_id = '0123456789abcdef' WHERE tenant_id = 'acme'").run();
    await othersGoOn();
    expect((await held()).map(({ tenantId, detail }) => [tenantId, detail])).toEqual([
      ['acme', '{"reason":"key_missing"}'],
    ]);
    await it.until('globex', 'm1', ({ status }) => status === 'sent');
    await putAccount(it.context, 'acme', 'smtp1', { password: 'p' }, 'update');
    it.pass(60_000);
    await it.until('acme', 'm1', ({ status }) => status === 'sent');
    expect(await verifyAudit(it.store, it.keyring)).toMatchObject({ ok: true });
  });
});

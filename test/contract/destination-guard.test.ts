import { describe, expect, test } from 'vitest';
import type { AccountInput } from '../../src/core/account-settings.js';
import { NO_PRIVATE, parseAllowance } from '../../src/core/destination.js';
import { createDestinationGuard, DestinationRefused } from '../../src/delivery/destination-guard.js';
import { putAccount } from '../../src/services/put-account.js';
import { testAccount } from '../../src/services/test-account.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestDispatch, type TestDispatch } from '../support/dispatch.js';
import { startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
const strict = createDestinationGuard(NO_PRIVATE);

test.each([
  ...[
    '127.0.0.1',
    '10.0.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '[::1]',
    'fe80::1',
    'fd00::1',
  ],
  ...[
    '::ffff:127.0.0.1',
    '[::ffff:7f00:1]',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    '::127.0.0.1',
    'localhost',
    'LOCALHOST',
  ],
  ...['2130706433', '0177.0.0.1', '0x7f.0.0.1', '0x7f000001', '127.1', '017700000001', '0'],
])('%s is refused', async (host) => {
  // Spellings that the resolver does not know are refused too, by the resolver.
  await expect(strict(host)).rejects.toThrow();
});

test('a name that resolves to this machine is refused for what it resolves to', async () => {
  await expect(strict('localhost')).rejects.toThrow(DestinationRefused);
});

test('the very address that was checked is what is dialled', async () => {
  expect(await strict('93.184.215.14')).toBe('93.184.215.14');
  expect(await createDestinationGuard(parseAllowance('localhost'))('localhost')).toMatch(
    /^(127\.0\.0\.1|::1)$/,
  );
});

test.each(['127.0.0.1', '127.0.0.0/8', '127.0.0.0/30', 'x, 127.0.0.1'])(
  'an address is opened by %j',
  async (allowed) => {
    expect(await createDestinationGuard(parseAllowance(allowed))('127.0.0.1')).toBe('127.0.0.1');
    await expect(createDestinationGuard(parseAllowance(allowed))('10.0.0.1')).rejects.toThrow(
      DestinationRefused,
    );
  },
);

describe('through a real dispatcher', () => {
  const tenant = {
    kind: 'tenant-token',
    tenantId: 'acme',
    tokenName: 'default',
    address: '192.0.2.1',
  } as const;
  async function open(allow = '') {
    const it = closing(await openTestDispatch(allow), (opened) => opened.close());
    const server = closing(await startSmtpServer({ tls: 'none' }), (opened) => opened.close());
    return { it, server };
  }
  const asTenant = (it: TestDispatch, input: AccountInput) =>
    putAccount({ ...it.context, actor: tenant }, 'acme', 'smtp1', { tls: 'none', ...input }, 'replace');
  /** Resolves once the message was given back or sent, and says which. */
  async function outcome(it: TestDispatch) {
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    const { status, error } = await it.until(
      'acme',
      'm1',
      (message) => message.status === 'sent' || message.error !== null,
    );
    return { status, error };
  }

  test.each(['127.0.0.1', 'localhost'])(
    'what a tenant set to %s is never dialled, and it is told why',
    async (host) => {
      const { it, server } = await open();
      await asTenant(it, { host, port: server.port });
      const { status, error } = await outcome(it);
      expect(status).not.toBe('sent');
      expect(error).toMatch(/private network/);
      expect(server.seen.connections).toBe(0);
    },
  );

  test('what the operator set there is', async () => {
    const { it, server } = await open();
    await it.account('acme', { host: '127.0.0.1', port: server.port, tls: 'none' });
    expect(await outcome(it)).toEqual({ status: 'sent', error: null });
  });

  test('what a tenant set is dialled where the operator opened it', async () => {
    const { it, server } = await open('127.0.0.0/8');
    await asTenant(it, { host: '127.0.0.1', port: server.port });
    expect(await outcome(it)).toEqual({ status: 'sent', error: null });
  });

  test('an operator who changes a limit does not vouch for the tenant’s destination', async () => {
    const { it, server } = await open();
    await asTenant(it, { host: '127.0.0.1', port: server.port });
    await putAccount(it.context, 'acme', 'smtp1', { limitDay: 5 }, 'update');
    expect((await outcome(it)).status).not.toBe('sent');
    expect(server.seen.connections).toBe(0);
  });

  test('a tenant who moves the operator’s account to another port is on his own', async () => {
    const { it, server } = await open();
    await it.account('acme', { host: '127.0.0.1', port: 1, tls: 'none' });
    await asTenant(it, { host: '127.0.0.1', port: server.port });
    expect((await outcome(it)).status).not.toBe('sent');
    expect(server.seen.connections).toBe(0);
  });

  test('trying the account goes through the same guard, whoever asks', async () => {
    const { it, server } = await open();
    await asTenant(it, { host: '127.0.0.1', port: server.port });
    const report = await testAccount(it.context, 'acme', 'smtp1', strict);
    expect(report).toMatchObject({ ok: false, steps: [{ name: 'connect', status: 'failed' }, {}, {}] });
    expect(server.seen.connections).toBe(0);
  });
});

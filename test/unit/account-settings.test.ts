import { describe, expect, test } from 'vitest';
import {
  type AccountInput,
  resolveAccountSettings,
  sameBinding,
  tlsModeFromAliases,
} from '../../src/core/account-settings.js';
import { MailProxyError } from '../../src/core/errors.js';

const said: AccountInput = { host: 'SMTP.Example.com.', user: 'u', password: 'p' };

describe('the settings of a new account', () => {
  test('have safe defaults', () => {
    expect(resolveAccountSettings({ host: 'SMTP.Example.com.' })).toEqual({
      host: 'smtp.example.com',
      port: 587,
      tls: 'starttls',
      tlsVerify: true,
      tlsCa: null,
      user: null,
      limitMinute: null,
      limitHour: null,
      limitDay: null,
      limitBehavior: 'defer',
      maxConnections: 5,
      fromAddress: null,
      isDefault: false,
    });
  });

  test.each<[AccountInput, string, number]>([
    [{ tls: 'none' }, 'none', 25],
    [{ tls: 'ssl' }, 'ssl', 465],
    [{ port: 465 }, 'ssl', 465],
    [{ port: 2525 }, 'starttls', 2525],
    [{ port: 465, tls: 'starttls' }, 'starttls', 465],
  ])('take port and TLS mode from one another: %j', (input, tls, port) => {
    expect(resolveAccountSettings({ ...said, ...input })).toMatchObject({ tls, port });
  });

  test('0 and null are no limit', () => {
    expect(resolveAccountSettings({ ...said, limitMinute: 0, limitHour: null, limitDay: 5 })).toMatchObject({
      limitMinute: null,
      limitHour: null,
      limitDay: 5,
    });
  });

  test.each<[string, AccountInput]>([
    ['host', { host: undefined }],
    ['host', { host: 'a b' }],
    ['port', { port: 0 }],
    ['port', { port: 65536 }],
    ['port', { port: 25.5 }],
    ['tls_ca', { tlsCa: 'no certificate' }],
    ['user', { user: '' }],
    ['user', { user: 'a\r\nb' }],
    ['user', { user: null }],
    ['password', { password: '' }],
    ['password', { password: 'secret\0' }],
    ['password', { password: 'secret\ud800' }],
    ['password', { password: 'p'.repeat(1025) }],
    ['limit_per_minute', { limitMinute: -1 }],
    ['limit_per_hour', { limitHour: 0.5 }],
    ['limit_per_day', { limitDay: Number.MAX_VALUE }],
    ['max_connections', { maxConnections: 0 }],
    ['max_connections', { maxConnections: 101 }],
    ['from_address', { fromAddress: 'nobody' }],
  ])('refuse a bad %s, by the name of the field and without a secret', (path, input) => {
    const failure = expectFailure(() => resolveAccountSettings({ ...said, ...input }));
    expect(failure.issues?.map((issue) => issue.path)).toEqual([path]);
    expect(failure.code).toBe('validation_failed');
    expect(JSON.stringify([failure.message, failure.issues])).not.toContain('secret');
  });

  test('name every bad field at once', () => {
    const failure = expectFailure(() => resolveAccountSettings({ port: 0, maxConnections: 0 }));
    expect(failure.issues).toHaveLength(3);
  });
});

describe('a change of an account', () => {
  const current = resolveAccountSettings({
    ...said,
    port: 2525,
    limitDay: 7,
    tlsVerify: false,
    isDefault: true,
    fromAddress: 'a@example.com',
  });

  test('keeps what is not said', () => {
    expect(resolveAccountSettings({}, current)).toEqual(current);
    expect(resolveAccountSettings({ maxConnections: 9 }, current)).toEqual({ ...current, maxConnections: 9 });
  });

  test('null takes away', () => {
    expect(resolveAccountSettings({ limitDay: null, fromAddress: null }, current)).toMatchObject({
      limitDay: null,
      fromAddress: null,
    });
  });

  test('of the TLS mode takes its usual port, unless one is said', () => {
    expect(resolveAccountSettings({ tls: 'ssl' }, current).port).toBe(465);
    expect(resolveAccountSettings({ tls: 'starttls' }, current).port).toBe(2525);
    expect(resolveAccountSettings({ tls: 'ssl', port: 1465 }, current).port).toBe(1465);
  });

  test('is of the binding for each field that decides where a password goes, and for no other', () => {
    expect(sameBinding(current, { ...current, limitDay: 1, maxConnections: 1, isDefault: false })).toBe(true);
    for (const change of [
      { host: 'other.example.com' },
      { port: 25 },
      { tls: 'none' as const },
      { user: 'v' },
      { tlsVerify: true },
      { tlsCa: 'PEM' },
    ]) {
      expect(sameBinding(current, { ...current, ...change })).toBe(false);
    }
  });
});

test('pitfall 24: the older flags of clients never mean plaintext', () => {
  expect(tlsModeFromAliases({})).toBeUndefined();
  expect(tlsModeFromAliases({ useTls: false })).toBe('starttls');
  expect(tlsModeFromAliases({ useSsl: false })).toBe('starttls');
  expect(tlsModeFromAliases({ useTls: true })).toBe('starttls');
  expect(tlsModeFromAliases({ useSsl: true })).toBe('ssl');
  expect(tlsModeFromAliases({ useTls: true, port: 465 })).toBe('ssl');
  expect(tlsModeFromAliases({ tls: 'none', useSsl: true })).toBe('none');
});

function expectFailure(work: () => unknown): MailProxyError {
  try {
    work();
  } catch (error) {
    if (error instanceof MailProxyError) return error;
    throw error;
  }
  throw new Error('It did not fail.');
}

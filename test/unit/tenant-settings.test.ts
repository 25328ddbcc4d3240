import { describe, expect, test } from 'vitest';
import { resolveTenantSettings, sameCallback, type TenantInput } from '../../src/core/tenant-settings.js';

const refused = (path: string) =>
  expect.objectContaining({
    code: 'validation_failed',
    issues: expect.arrayContaining([expect.objectContaining({ path })]),
  });

describe('the settings of a tenant', () => {
  test('have defaults, the name from the id', () => {
    expect(resolveTenantSettings('acme', {})).toEqual({
      name: 'acme',
      active: true,
      clientBaseUrl: null,
      clientSyncPath: '/mail-proxy/sync',
      clientAttachmentPath: '/mail-proxy/attachments',
      clientAuthMethod: 'none',
      clientAuthUser: null,
      limitHourly: null,
      limitDaily: null,
      onUncertain: 'retry',
      useGlobalSync: false,
      attachmentRoots: [],
    });
  });

  test.each([
    'ftp://a.example.com',
    'https://user@a.example.com',
    'https://:pw@a.example.com',
    'https://a.example.com/?q=1',
    'https://a.example.com?',
    'https://a.example.com#',
    'https://a.example.com/\n',
    ' https://a.example.com',
    'https:a.example.com',
    'https://a.example.com\\evil',
    'https://',
    `https://a.example.com/${'x'.repeat(1000)}`,
  ])('refuse the base URL %j: the paths could not be appended to it', (clientBaseUrl) => {
    expect(() => resolveTenantSettings('acme', { clientBaseUrl })).toThrow(refused('client_base_url'));
  });

  test.each<[string, TenantInput]>([
    ['name', { name: ' ' }],
    ['name', { name: 'a\u001b[2J' }],
    ['client_sync_path', { clientSyncPath: 'sync' }],
    ['client_attachment_path', { clientAttachmentPath: '/a b' }],
    ['rate_limits.hourly', { limitHourly: -1 }],
    ['rate_limits.daily', { limitDaily: 1e300 }],
    ['attachment_roots.1', { attachmentRoots: ['/srv', 'srv'] }],
  ])('refuse a bad %s by its name', (path, input) => {
    expect(() => resolveTenantSettings('acme', input)).toThrow(refused(path));
  });

  test('keep what is not said; null and 0 take away', () => {
    const current = resolveTenantSettings('acme', {
      name: 'ACME',
      active: false,
      clientBaseUrl: 'https://a.example.com',
      clientAuth: { method: 'basic', user: 'u', password: 'p' },
      limitHourly: 10,
      onUncertain: 'hold',
    });
    expect(resolveTenantSettings('acme', {}, current)).toEqual(current);
    expect(resolveTenantSettings('acme', { clientBaseUrl: null, limitHourly: 0 }, current)).toEqual({
      ...current,
      clientBaseUrl: null,
      limitHourly: null,
    });
    expect(
      resolveTenantSettings('acme', { clientAuth: { method: 'bearer', token: 't' } }, current),
    ).toMatchObject({ clientAuthMethod: 'bearer', clientAuthUser: null });
    expect(sameCallback(current, { ...current, name: 'other' })).toBe(true);
    for (const change of [
      { clientBaseUrl: null },
      { clientSyncPath: '/x' },
      { clientAttachmentPath: '/x' },
    ]) {
      expect(sameCallback(current, { ...current, ...change })).toBe(false);
    }
  });
});

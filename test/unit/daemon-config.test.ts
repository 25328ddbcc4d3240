import { describe, expect, test } from 'vitest';
import { resolveDaemonConfig } from '../../src/config/daemon-config.js';

const resolve = (
  env: Record<string, string> = {},
  flags: { host?: string; port?: number } = {},
  stored: { host?: string; port?: string } = {},
) => resolveDaemonConfig({ flags, env, stored });

describe('the settings of a daemon', () => {
  test('have defaults', () => {
    expect(resolve()).toEqual({
      host: '127.0.0.1',
      port: 8000,
      portIsFree: true,
      logLevel: 'info',
      logFormat: 'text',
      schedulerActive: true,
      defaultPriority: 2,
      retention: 7 * 86_400_000,
      globalSync: undefined,
      trustedProxies: ['127.0.0.0/8', '::1/128'],
    });
  });

  test('come from the flag, else the environment, else the store', () => {
    const env = { GMP_HOST: 'env', GMP_PORT: '2' };
    const stored = { host: 'stored', port: '3' };
    expect(resolve(env, { host: 'flag', port: 1 }, stored)).toMatchObject({ host: 'flag', port: 1 });
    expect(resolve(env, {}, stored)).toMatchObject({ host: 'env', port: 2 });
    expect(resolve({ GMP_HOST: '', GMP_PORT: '' }, {}, stored)).toMatchObject({ host: 'stored', port: 3 });
    expect(resolve({}, {}, stored).portIsFree).toBe(false);
  });

  test.each([
    ['GMP_PORT', '0'],
    ['GMP_PORT', '65536'],
    ['GMP_PORT', '80a'],
    ['GMP_LOG_LEVEL', 'loud'],
    ['GMP_LOG_LEVEL', 'constructor'],
    ['LOG_FORMAT', 'xml'],
    ['GMP_SCHEDULER_ACTIVE', 'maybe'],
    ['GMP_DEFAULT_PRIORITY', '4'],
    ['GMP_DEFAULT_PRIORITY', 'urgent'],
    ['GMP_DELIVERY_REPORT_RETENTION_SECONDS', '-1'],
    ['GMP_DELIVERY_REPORT_RETENTION_SECONDS', '7d'],
    ['GMP_DELIVERY_REPORT_RETENTION_SECONDS', '9999999999'],
  ])('%s=%s is refused by its name', (name, value) => {
    const failing = () => resolve({ [name]: value });
    expect(failing).toThrow(expect.objectContaining({ code: 'usage' }));
    expect(failing).toThrow(new RegExp(`^${name} `));
  });

  test.each(['ftp://x', 'nonsense', 'https://ann:swordfish@x.example', 'https://x.example/#y'])(
    'GMP_CLIENT_SYNC_URL=%s is refused without being repeated',
    (url) => {
      const failing = () => resolve({ GMP_CLIENT_SYNC_URL: url });
      expect(failing).toThrow(/^GMP_CLIENT_SYNC_URL must be/);
      expect(failing).not.toThrow(/swordfish|nonsense/);
    },
  );

  test('name a global endpoint with its credentials', () => {
    const url = 'https://app.example.com/reports';
    const sync = (env: Record<string, string>) => resolve({ GMP_CLIENT_SYNC_URL: url, ...env }).globalSync;
    expect(sync({})).toEqual({ url, auth: { method: 'none' } });
    expect(sync({ GMP_CLIENT_SYNC_TOKEN: 't' })).toEqual({ url, auth: { method: 'bearer', token: 't' } });
    expect(sync({ GMP_CLIENT_SYNC_USER: 'u', GMP_CLIENT_SYNC_PASSWORD: 'p' })).toEqual({
      url,
      auth: { method: 'basic', user: 'u', password: 'p' },
    });
    expect(resolve({ GMP_CLIENT_SYNC_TOKEN: 't' }).globalSync).toBeUndefined();
  });

  test('are read as people write them', () => {
    const read = resolve({
      GMP_LOG_LEVEL: 'WARNING',
      LOG_FORMAT: 'JSON',
      GMP_SCHEDULER_ACTIVE: 'Off',
      GMP_DEFAULT_PRIORITY: 'high',
      GMP_DELIVERY_REPORT_RETENTION_SECONDS: '0',
    });
    expect(read).toMatchObject({
      logLevel: 'warn',
      logFormat: 'json',
      schedulerActive: false,
      defaultPriority: 1,
      retention: 0,
    });
    expect(resolve({ GMP_DEFAULT_PRIORITY: '0' }).defaultPriority).toBe(0);
  });
});

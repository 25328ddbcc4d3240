import { beforeEach, expect, test } from 'vitest';
import { MailProxyError } from '../../src/core/errors.js';
import { quietAboutStore } from '../../src/daemon/quiet-log.js';

let now = 0;
let told: string[];
let log: ReturnType<typeof quietAboutStore>;
beforeEach(() => {
  told = [];
  const tell = (message: string, fields?: Record<string, unknown>) =>
    void told.push(fields?.untold === undefined ? message : `${message} (${fields.untold} untold)`);
  log = quietAboutStore({ debug: tell, info: tell, warn: tell, error: tell }, () => now);
});
const full = () => ({ err: new MailProxyError('store_unavailable', 'The disk is full.') });

test('the same trouble of the store is told once, whoever meets it', () => {
  for (const who of ['the queue', 'a request', 'a message']) log.error(who, full());
  log.error('another', { err: new MailProxyError('store_unavailable', 'It is locked.') });
  expect(told).toEqual(['the queue', 'another']);
});

test('what is no trouble of the store is always told', () => {
  log.error('defect', { err: new Error('x') });
  log.error('defect', { err: new Error('x') });
  log.warn('warning', full());
  log.warn('warning', full());
  expect(told).toEqual(['defect', 'defect', 'warning', 'warning']);
});

test('it is told again each hour, with how often it was met, and at once when it comes back', () => {
  for (const end = now + 3_600_000; now <= end; now += 1000) log.error('full', full());
  expect(told).toEqual(['full', 'full (3599 untold)']);
  now += 61_000;
  log.error('full again', full());
  expect(told.at(-1)).toBe('full again');
});

import { expect, test } from 'vitest';
import { normalizeHost } from '../../src/core/host.js';

test.each([
  ['SMTP.Example.COM', 'smtp.example.com'],
  ['smtp.example.com.', 'smtp.example.com'],
  ['localhost', 'localhost'],
  ['mail_relay-1', 'mail_relay-1'],
  ['bücher.example', 'xn--bcher-kva.example'],
  ['192.0.2.1', '192.0.2.1'],
  ['2001:DB8::1', '2001:db8::1'],
])('%s is dialled and bound as %s', (text, host) => {
  expect(normalizeHost(text)).toBe(host);
  expect(normalizeHost(host)).toBe(host);
});

test.each([
  '',
  '.',
  'a..b',
  '-a.example',
  'a b',
  'a\r\nb',
  'example.com/evil',
  'example.com?x',
  'example.com#x',
  'example.com\\x',
  'a%41.com',
  'user@example.com',
  'example.com:25',
  '[::1]',
  '0x7f.1',
  '2130706433',
  '127.1',
  '１２７.0.0.1',
  'a'.repeat(254),
  `${'a'.repeat(64)}.example`,
])('%j is no host name, and means no other either', (text) => {
  expect(normalizeHost(text)).toBeUndefined();
});

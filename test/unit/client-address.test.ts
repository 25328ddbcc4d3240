import { describe, expect, test } from 'vitest';
import { clientAddress } from '../../src/http/client-address.js';

describe('the address of a client', () => {
  const byDefault = clientAddress();

  test.each([
    ['the peer when it is no proxy', '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['what a proxy on this machine says', '127.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['the same over IPv6', '::1', '2001:db8::1', '2001:db8::1'],
    ['an IPv4 peer in its IPv6 form', '::ffff:127.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['the proxy itself when it says nothing', '127.0.0.1', undefined, '127.0.0.1'],
    ['the proxy itself when it says no address', '127.0.0.1', '1.2.3.4, 5.6.7.8', '127.0.0.1'],
    ['nothing when there is no socket', undefined, '198.51.100.1', ''],
  ])('is %s', (_name, peer, realIp, expected) => {
    expect(byDefault(peer, realIp)).toBe(expected);
  });

  test('comes from the configured proxies and from no others', () => {
    const configured = clientAddress(['10.0.0.0/8', '192.0.2.7']);
    expect(configured('10.1.2.3', '198.51.100.1')).toBe('198.51.100.1');
    expect(configured('192.0.2.7', '198.51.100.1')).toBe('198.51.100.1');
    expect(configured('192.0.2.8', '198.51.100.1')).toBe('192.0.2.8');
    expect(configured('127.0.0.1', '198.51.100.1')).toBe('127.0.0.1');
    expect(clientAddress([])('127.0.0.1', '198.51.100.1')).toBe('127.0.0.1');
  });

  test('a proxy that is no address is refused', () => {
    expect(() => clientAddress(['proxy.example'])).toThrow();
  });
});

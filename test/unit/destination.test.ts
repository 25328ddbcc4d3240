import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isAllowed,
  isPublicAddress,
  NO_PRIVATE,
  parseAllowance,
  parseNetworks,
} from '../../src/core/destination.js';

const PRIVATE_V4 = [
  ['this network', '0.0.0.0'],
  ['this network', '0.1.2.3'],
  ['loopback', '127.0.0.1'],
  ['loopback', '127.255.255.254'],
  ['private', '10.0.0.1'],
  ['private', '172.16.0.1'],
  ['private', '172.31.255.255'],
  ['private', '192.168.1.1'],
  ['link-local', '169.254.1.1'],
  ['metadata', '169.254.169.254'],
  ['carrier-grade NAT', '100.64.0.1'],
  ['carrier-grade NAT', '100.127.255.255'],
  ['protocol assignments', '192.0.0.192'],
  ['documentation', '203.0.113.1'],
  ['benchmarking', '198.18.0.1'],
  ['multicast', '224.0.0.1'],
  ['reserved', '240.0.0.1'],
  ['broadcast', '255.255.255.255'],
] as const;

const hex = (address: string): string => {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
};

describe('addresses that no tenant may reach', () => {
  test.each(PRIVATE_V4)('%s %s, in every clothing', (_what, address) => {
    const clothed = [
      address,
      `::ffff:${address}`,
      `::ffff:${hex(address)}`,
      `0:0:0:0:0:ffff:${hex(address)}`,
      `::${hex(address)}`,
      `::ffff:0:${hex(address)}`,
      `64:ff9b::${hex(address)}`,
      `64:ff9b:1::${hex(address)}`,
      `2002:${hex(address)}::1`,
      `2001:0:4136:e378:8000:63bf:${hex(address)}`,
    ];
    expect(clothed.filter(isPublicAddress)).toEqual([]);
  });

  test.each([
    '::',
    '::1',
    'fe80::1',
    'fe80::1%eth0',
    'fc00::1',
    'fd00:ec2::254',
    'fec0::1',
    'ff02::1',
    '100::1',
    '2001:db8::1',
    '4000::1',
  ])('%s', (address) => expect(isPublicAddress(address)).toBe(false));

  test.each([
    '2130706433',
    '0177.0.0.1',
    '0x7f.1',
    '127.1',
    '0x7f000001',
    '10.1',
    '',
    'localhost',
    '127.0.0.1.',
    '[::1]',
    '1.2.3.4/8',
  ])('what is no plain address is none: %j', (address) => expect(isPublicAddress(address)).toBe(false));
});

test.each([
  '8.8.8.8',
  '1.1.1.1',
  '172.15.0.1',
  '172.32.0.1',
  '100.63.255.255',
  '100.128.0.1',
  '2606:4700:4700::1111',
  '::ffff:8.8.8.8',
])('%s is public', (address) => expect(isPublicAddress(address)).toBe(true));

test('an IPv4 address is as public mapped as it is plain', () => {
  fc.assert(
    fc.property(fc.ipV4(), (address) => {
      expect(isPublicAddress(`::ffff:${address}`)).toBe(isPublicAddress(address));
    }),
  );
});

describe('what the operator allows', () => {
  test('nothing, unless it is said', () => {
    for (const none of [NO_PRIVATE, parseAllowance(undefined), parseAllowance(' , ')]) {
      expect(isAllowed('127.0.0.1', '127.0.0.1', none)).toBe(false);
      expect(isAllowed('', '', none)).toBe(false);
    }
  });

  test('hosts, addresses and networks, whatever their case and clothing', () => {
    const allowance = parseAllowance('Relay.Internal, 10.1.2.3,192.168.0.0/16, fd00::/8');
    const allowed = (host: string, address: string) => isAllowed(host, address, allowance);
    expect(allowed('relay.INTERNAL', '172.16.0.1')).toBe(true);
    expect(allowed('x', '10.1.2.3')).toBe(true);
    expect(allowed('x', '::ffff:10.1.2.3')).toBe(true);
    expect(allowed('x', '192.168.255.1')).toBe(true);
    expect(allowed('x', 'fd12::1')).toBe(true);
    expect(allowed('x', '10.1.2.4')).toBe(false);
    expect(allowed('x.relay.internal', '172.16.0.1')).toBe(false);
    expect(allowed('x', '64:ff9b::a01:203')).toBe(false);
    expect(allowed('x', 'not an address')).toBe(false);
  });

  test('a list of networks with an entry that is none is refused by the name of its setting', () => {
    expect(parseNetworks('10.0.0.0/8, ::1', 'GMP_TRUSTED_PROXIES')).toHaveLength(2);
    for (const bad of ['localhost', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8;::1']) {
      expect(() => parseNetworks(bad, 'GMP_TRUSTED_PROXIES')).toThrow(/^GMP_TRUSTED_PROXIES must be/);
    }
  });
});

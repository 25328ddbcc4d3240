import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AuditRecord } from '../../src/core/audit.js';
import { auditHash, CHAIN_START, checkpointMac } from '../../src/crypto/audit-chain.js';

const KEY = Buffer.alloc(32, 1);
const BASE: Omit<AuditRecord, 'hash'> = {
  seq: 1,
  chain: 1,
  at: 0,
  event: 'tenant.created',
  actor: 'admin',
  address: '192.0.2.1',
  tenantId: 'acme',
  subject: 'acme',
  detail: '{}',
};

test('the format is fixed: chains of existing databases verify with nothing else', () => {
  expect(auditHash(KEY, CHAIN_START, BASE)).toBe(
    'fabea1c6f9f3985e1d88ab4290b3008a69b28da2fa34a9abdfd715b9085d8052',
  );
});

test('each field, the hash before and the key count', () => {
  const hash = auditHash(KEY, CHAIN_START, BASE);
  const others = [
    ...[{ seq: 2 }, { chain: 2 }, { at: 1 }, { event: 'tenant.updated' as const }, { actor: 'os:admin' }],
    ...[{ address: null }, { tenantId: null }, { subject: '' }, { detail: '{ }' }],
  ].map((change) => auditHash(KEY, CHAIN_START, { ...BASE, ...change }));
  others.push(auditHash(KEY, hash, BASE), auditHash(randomBytes(32), CHAIN_START, BASE));
  expect(new Set([hash, ...others]).size).toBe(others.length + 1);
});

test('a missing value, an empty one and text moved from one field to its neighbour are different records', () => {
  const text = fc.option(fc.string(), { nil: null });
  const fields = fc.tuple(text, text, text, fc.string());
  fc.assert(
    fc.property(fields, fields, (a, b) => {
      const hashOf = ([address, tenantId, subject, detail]: typeof a) =>
        auditHash(KEY, CHAIN_START, { ...BASE, address, tenantId, subject, detail });
      expect(hashOf(a) === hashOf(b)).toBe(JSON.stringify(a) === JSON.stringify(b));
    }),
  );
  const moved = (address: string | null, tenantId: string | null) =>
    auditHash(KEY, CHAIN_START, { ...BASE, address, tenantId });
  expect(
    new Set([moved('ab', ''), moved('a', 'b'), moved('', 'ab'), moved(null, 'ab'), moved('ab', null)]).size,
  ).toBe(5);
});

test('a record is never a checkpoint, whatever it holds', () => {
  const mac = checkpointMac(KEY, 1, 1, CHAIN_START);
  expect(mac).toMatch(/^[0-9a-f]{64}$/);
  expect(mac).not.toBe(checkpointMac(KEY, 1, 2, CHAIN_START));
  expect(mac).not.toBe(checkpointMac(KEY, 2, 1, CHAIN_START));
  expect(mac).not.toBe(auditHash(KEY, CHAIN_START, BASE));
});

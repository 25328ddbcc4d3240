import { expect, test } from 'vitest';
import { InFlight } from '../../src/delivery/in-flight.js';
import type { Claim } from '../../src/store/claim-types.js';

const claimOf = (content: Buffer): Claim => ({
  pk: 1,
  claim: 1,
  tenantId: 'acme',
  id: 'm1',
  accountPk: 1,
  priority: 2,
  envelopeFrom: 'a@example.com',
  recipients: [],
  contentKind: 'raw',
  content,
  retryCount: 0,
  dueAt: 0,
  expiresAt: 1,
  createdAt: 0,
});

test('content that was moved away while it was sent gives back the room that it had taken', () => {
  const inFlight = new InFlight();
  const { left } = inFlight.byteBudget();
  const claim = claimOf(Buffer.from(new ArrayBuffer(100_000)));
  inFlight.add([claim]);
  expect(inFlight.byteBudget()).toEqual({ left: left - 100_000, isWhole: false });
  structuredClone(claim.content, { transfer: [claim.content.buffer as ArrayBuffer] });
  expect(claim.content).toHaveLength(0);
  inFlight.remove(claim);
  inFlight.remove(claim);
  expect(inFlight.byteBudget()).toEqual({ left, isWhole: true });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { InFlight } from '../../src/delivery/in-flight.js';
import type { Claim } from '../../src/store/claim-types.js';

const claimOf = (pk: number, tenantId: string, bytes: number): Claim => ({
  pk,
  claim: 1,
  tenantId,
  id: `m${pk}`,
  accountPk: 1,
  priority: 2,
  envelopeFrom: 'a@example.com',
  recipients: [],
  contentKind: 'raw',
  content: Buffer.alloc(bytes),
  retryCount: 0,
  dueAt: 0,
  expiresAt: 1,
  createdAt: 0,
  firstDueAt: 0,
});

test('a message larger than all that may be in memory goes when it is the only one', () => {
  const inFlight = new InFlight();
  expect(inFlight.byteBudget().isWhole).toBe(true);
  const small = claimOf(1, 'acme', 1);
  inFlight.add([small]);
  expect(inFlight.byteBudget().isWhole).toBe(false);
  inFlight.remove(small);
  expect(inFlight.byteBudget().isWhole).toBe(true);
});

test('what was added and not removed is counted, by number, tenant and bytes, however often it is removed', () => {
  const whole = new InFlight();
  const steps = fc.array(
    fc.record({
      pk: fc.nat(8),
      tenantId: fc.constantFrom('acme', 'globex'),
      bytes: fc.nat(50),
      isEnd: fc.boolean(),
    }),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(steps, (list) => {
      const inFlight = new InFlight();
      const model = new Map<number, Claim>();
      const gone: Claim[] = [];
      for (const { pk, tenantId, bytes, isEnd } of list) {
        const present = model.get(pk);
        if (isEnd && present !== undefined) {
          inFlight.remove(present);
          model.delete(pk);
          gone.push(present);
        } else if (present === undefined) {
          const claim = claimOf(pk, tenantId, bytes);
          inFlight.add([claim]);
          model.set(pk, claim);
        }
        for (const claim of gone) inFlight.remove(claim);
        const claims = [...model.values()];
        expect(inFlight.claims()).toEqual(claims);
        expect(whole.free - inFlight.free).toBe(claims.length);
        expect(whole.byteBudget().left - inFlight.byteBudget().left).toBe(
          claims.reduce((sum, { content }) => sum + content.length, 0),
        );
        for (const tenant of ['acme', 'globex'])
          expect(inFlight.of(tenant)).toBe(claims.filter((claim) => claim.tenantId === tenant).length);
      }
    }),
  );
});

test('content that was moved away while it was sent gives back the room that it had taken', () => {
  const inFlight = new InFlight();
  const { left } = inFlight.byteBudget();
  const claim = { ...claimOf(1, 'acme', 0), content: Buffer.from(new ArrayBuffer(100_000)) };
  inFlight.add([claim]);
  expect(inFlight.byteBudget()).toEqual({ left: left - 100_000, isWhole: false });
  structuredClone(claim.content, { transfer: [claim.content.buffer as ArrayBuffer] });
  expect(claim.content).toHaveLength(0);
  inFlight.remove(claim);
  expect(inFlight.byteBudget()).toEqual({ left, isWhole: true });
});

import { expect, test } from 'vitest';
import { cleanupStep, firstCleanupAt } from '../../src/core/retention.js';

const WEEK = 7 * 86_400_000;
const at = 1_000_000;

test('a message that became final is looked at at once', () => {
  expect([firstCleanupAt('sent', at), firstCleanupAt('error', at)]).toEqual([at, at]);
});

test.each([
  ['sent', true, at, { what: 'drop-content', nextAt: at + WEEK }],
  ['sent', false, at, { what: 'keep', nextAt: at + WEEK }],
  // It can still be tried again.
  ['error', true, at, { what: 'keep', nextAt: at + WEEK }],
  ['error', true, at + WEEK - 1, { what: 'keep', nextAt: at + WEEK }],
  ['error', true, at + WEEK, { what: 'remove' }],
  ['sent', true, at + WEEK, { what: 'remove' }],
] as const)('one that is %s (content %s) at %i', (state, hasContent, now, step) => {
  expect(cleanupStep({ state, finalAt: at, hasContent }, WEEK, now)).toEqual(step);
});

test('with no retention at all the row goes at once', () => {
  expect(cleanupStep({ state: 'sent', finalAt: at, hasContent: true }, 0, at)).toEqual({ what: 'remove' });
});

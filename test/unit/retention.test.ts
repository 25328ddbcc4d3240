import { expect, test } from 'vitest';
import { cleanupStep, firstCleanupAt, retentionStartsAt } from '../../src/core/retention.js';

const WEEK = 7 * 86_400_000;
const at = 1_000_000;
const told = { reportedAt: undefined, hasReports: false };

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
  expect(cleanupStep({ ...told, state, finalAt: at, hasContent }, WEEK, now)).toEqual(step);
});

test('with no retention at all the row goes at once', () => {
  expect(cleanupStep({ ...told, state: 'sent', finalAt: at, hasContent: true }, 0, at)).toEqual({
    what: 'remove',
  });
});

test('retention begins when the last report was acknowledged, and not while one waits', () => {
  expect(retentionStartsAt({ finalAt: at, reportedAt: at + 5, hasReports: false })).toBe(at + 5);
  // It was tried again after it had been reported.
  expect(retentionStartsAt({ finalAt: at, reportedAt: at - 5, hasReports: false })).toBe(at);
  expect(retentionStartsAt({ finalAt: at, reportedAt: at + 5, hasReports: true })).toBeUndefined();
  const waiting = { finalAt: at, reportedAt: undefined, hasReports: true, hasContent: true } as const;
  expect(cleanupStep({ ...waiting, state: 'sent' }, 0, at + WEEK)).toEqual({
    what: 'drop-content',
    nextAt: null,
  });
  expect(cleanupStep({ ...waiting, state: 'error' }, 0, at + WEEK)).toEqual({ what: 'keep', nextAt: null });
});

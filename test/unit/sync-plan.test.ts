import { describe, expect, test } from 'vitest';
import { parseSyncAnswer } from '../../src/core/schemas/sync-answer.js';
import {
  afterAnswer,
  afterFailure,
  freshMemory,
  mostReports,
  nextCallAt,
  type SyncMemory,
} from '../../src/core/sync-plan.js';

const NOW = 1_000_000_000;
const FIVE_MINUTES = 300_000;
const memory = (changes: Partial<SyncMemory> = {}): SyncMemory => ({
  ...freshMemory({ lastSyncAt: NOW, quietUntil: undefined }),
  ...changes,
});

describe('a tenant is called', () => {
  test.each<[string, Partial<SyncMemory>, number | undefined, number]>([
    ['at once when it never was', { lastSyncAt: undefined }, undefined, 0],
    ['five minutes after the last call', {}, undefined, NOW + FIVE_MINUTES],
    ['at once with a report', {}, 0, 0],
    ['when its report may be sent', {}, NOW + 7, NOW + 7],
    ['with the heartbeat before a report that waits longer', {}, NOW + 2 * FIVE_MINUTES, NOW + FIVE_MINUTES],
    ['when it said that it has more', { againAt: NOW + 3 }, undefined, NOW + 3],
    ['not while it wants quiet', { quietUntil: NOW + 2 * FIVE_MINUTES }, undefined, NOW + 2 * FIVE_MINUTES],
    ['not even if it said that it has more', { quietUntil: NOW + 9, againAt: NOW }, undefined, NOW + 9],
    ['with a report though it wants quiet', { quietUntil: NOW + 9 }, 0, 0],
    ['not before a failed call is waited out', { retryAt: NOW + 4 }, 0, NOW + 4],
  ])('%s', (_when, changes, reportAt, expected) => {
    expect(nextCallAt(memory(changes), reportAt)).toBe(expected);
  });
});

describe('an answer', () => {
  const call = { startedAt: NOW, endedAt: NOW + 40, reports: 1 };

  test('clears what failed before, and says what is wanted next', () => {
    expect(afterAnswer(call, { queued: 0, nextSyncAfter: NOW + 99 })).toEqual({
      lastSyncAt: NOW + 40,
      quietUntil: NOW + 99,
      failures: 0,
      retryAt: undefined,
      againAt: undefined,
    });
  });

  test('with more queued is followed at once after something new, else within a second', () => {
    expect(afterAnswer(call, { queued: 1, nextSyncAfter: undefined }).againAt).toBe(NOW + 40);
    expect(afterAnswer({ ...call, reports: 0 }, { queued: 1, nextSyncAfter: undefined }).againAt).toBe(
      NOW + 1000,
    );
  });

  test.each([
    [{ ok: true }, { queued: 0, nextSyncAfter: undefined, error: [], notFound: [] }],
    [
      { ok: true, queued: 2, next_sync_after: 1_900_000_000, error: ['a', 7], not_found: ['b'], extra: 1 },
      { queued: 2, nextSyncAfter: 1_900_000_000_000, error: ['a', '7'], notFound: ['b'] },
    ],
    [
      { ok: true, queued: null, next_sync_after: null, error: null, not_found: null },
      { queued: 0, nextSyncAfter: undefined, error: [], notFound: [] },
    ],
    // Hints that make no sense are no reason to send everything again.
    [
      { ok: true, queued: 'many', next_sync_after: 'tomorrow' },
      { queued: 0, nextSyncAfter: undefined, error: [], notFound: [] },
    ],
  ])('%j is understood', (body, expected) => {
    const answer = parseSyncAnswer(body);
    expect({ ...answer, error: [...(answer?.error ?? [])] }).toEqual(expected);
  });

  test.each([[{}], [{ ok: false }], [{ ok: 1 }], [null], ['ok'], [[]], [{ ok: true, error: [{}] }]])(
    '%j acknowledges nothing',
    (body) => {
      expect(parseSyncAnswer(body)).toBeUndefined();
    },
  );
});

test('failed calls wait longer each time, up to a quarter of an hour, and not all alike', () => {
  let state = memory();
  const waits: number[] = [];
  for (let n = 0; n < 11; n++) {
    state = afterFailure(state, NOW, () => 0.5);
    waits.push(((state.retryAt as number) - NOW) / 1000);
  }
  expect(waits).toEqual([5, 10, 20, 40, 80, 160, 320, 640, 900, 900, 900]);
  expect(afterFailure(memory(), NOW, () => 0).retryAt).toBe(NOW + 4000);
  expect(afterFailure(memory({ failures: 20 }), NOW, () => 0.999).retryAt).toBe(NOW + 900_000);
});

test('calls carry fewer reports the more of them failed, and one at least', () => {
  expect([0, 1, 2, 3, 9, 10, 1000].map(mostReports)).toEqual([500, 500, 250, 125, 1, 1, 1]);
});

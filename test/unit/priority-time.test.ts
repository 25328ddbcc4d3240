import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parsePriority, priorityName } from '../../src/core/priority.js';
import { formatIso, formatRfc5322, formatTs, parseTimestamp } from '../../src/core/time.js';

describe('priority', () => {
  it('reads numbers and names alike', () => {
    expect([0, 1, 2, 3].map(parsePriority)).toEqual([0, 1, 2, 3]);
    expect(['immediate', 'HIGH', 'medium', 'low', '3'].map(parsePriority)).toEqual([0, 1, 2, 3, 3]);
    expect(priorityName(1)).toBe('high');
  });

  it.each([99, -1, 1.5, Number.NaN, 'urgent', ''])('pitfall 22: %j is refused', (value) => {
    expect(() => parsePriority(value)).toThrow(/0 to 3/);
  });
});

describe('time', () => {
  it.each([
    [1_700_000_000, 1_700_000_000_000],
    [1_700_000_000.25, 1_700_000_000_250],
    [0, 0],
    ['2023-11-14T22:13:20Z', 1_700_000_000_000],
    ['2023-11-14T23:13:20.5+01:00', 1_700_000_000_500],
    ['2023-11-14 17:13-0500', 1_699_999_980_000],
    ['2024-02-29T00:00:00z', Date.UTC(2024, 1, 29)],
  ])('reads %j', (value, millis) => {
    expect(parseTimestamp(value)).toBe(millis);
  });

  it.each([
    1_700_000_000_000,
    -1,
    Number.NaN,
    Number.POSITIVE_INFINITY,
    '',
    '1700000000',
    '2023-11-14',
    '2023-11-14T22:13:20',
    '2023-02-30T00:00:00Z',
    '2023-11-14T25:00:00Z',
    '2023-11-14T22:13:20+24:00',
    '2100-01-01T00:00:00Z',
    'tomorrow',
  ])('refuses %j', (value) => {
    expect(() => parseTimestamp(value)).toThrow(/Unix seconds, or ISO 8601/);
  });

  it('writes what it reads', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_102_444_799_999 }), (millis) => {
        expect(parseTimestamp(formatIso(millis))).toBe(millis);
        expect(parseTimestamp(millis / 1000)).toBe(millis);
        expect(formatTs(millis)).toBe(Math.floor(millis / 1000));
        expect(Date.parse(formatRfc5322(millis))).toBe(formatTs(millis) * 1000);
      }),
    );
  });
});

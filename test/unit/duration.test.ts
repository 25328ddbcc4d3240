import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseDuration } from '../../src/core/duration.js';

const refused = expect.objectContaining({ code: 'usage', message: expect.stringContaining('--expires') });

test.each([
  ['1s', 1000],
  ['30m', 1_800_000],
  ['12h', 43_200_000],
  ['90d', 7_776_000_000],
  ['2w', 1_209_600_000],
  ['1h30m', 5_400_000],
  ['0d1s', 1000],
])('%s is %d milliseconds', (text, millis) => {
  expect(parseDuration(text, '--expires')).toBe(millis);
});

test.each([
  '',
  ' ',
  '90',
  'd',
  '-1d',
  '+1d',
  '1.5h',
  '1e3d',
  '90D',
  '1 d',
  ' 1d',
  '1d ',
  '1d\n',
  '0s',
  '٣d',
  '1y',
  '1d,2h',
  '36501d',
  '999999999w',
])('%j is refused by the name of its setting', (text) => {
  expect(() => parseDuration(text, '--expires')).toThrow(refused);
});

test('whatever is given, the answer is a positive whole number of milliseconds or a refusal', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^(\d{1,12}[smhdw]){1,3}$/)), (text) => {
      try {
        const millis = parseDuration(text, '--expires');
        expect(Number.isSafeInteger(millis) && millis > 0).toBe(true);
      } catch (error) {
        expect(error).toEqual(refused);
      }
    }),
  );
});

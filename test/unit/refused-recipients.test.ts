import { expect, test } from 'vitest';
import { describeRefused } from '../../src/core/refused-recipients.js';

test('refused recipients are named with the words of the server', () => {
  expect(
    describeRefused([
      { address: 'a@x', code: 550, reply: 'no such user' },
      { address: 'b@x', code: 551, reply: null },
      { address: 'c@x', code: null, reply: null },
    ]),
  ).toBe('Refused: a@x (550 no such user), b@x (551), c@x');
});

test('ten at most are named', () => {
  const many = Array.from({ length: 11 }, (_, i) => ({ address: `r${i}@x`, code: null, reply: null }));
  expect(describeRefused(many.slice(0, 10))).not.toContain('others');
  expect(describeRefused(many)).toMatch(/r9@x and others$/);
});

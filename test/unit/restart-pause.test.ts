import { expect, test } from 'vitest';
import { RestartPause } from '../../src/core/restart-pause.js';

test('what ends once is started again at once, what ends again and again after longer and longer pauses', () => {
  const pause = new RestartPause();
  expect([5, 0, 5, 5, 5, 5, 5, 5, 5].map((lived) => pause.after(lived))).toEqual([
    0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000,
  ]);
});

test('what had lived for a minute is started again at once', () => {
  const pause = new RestartPause();
  for (let n = 0; n < 20; n++) pause.after(59_999);
  expect(pause.after(60_000)).toBe(0);
  expect(pause.after(0)).toBe(1000);
});

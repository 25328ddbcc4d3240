import { describe, expect, test } from 'vitest';
import { retryHint } from '../../src/core/retry-hint.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

describe('a temporary refusal', () => {
  test.each([
    ['4.7.1 Greylisting in action, please try again in 300 seconds', 300 * SECOND],
    ['4.2.0 Recipient address rejected: Greylisted for 04:59', 299 * SECOND],
    ['Too many messages, retry in 15 minutes', 15 * MINUTE],
    ['4.7.0 Throttled. Come back in 00:10:00', 10 * MINUTE],
    ['Try again after 1 hour', 60 * MINUTE],
    ['please wait 2 min before trying again', 2 * MINUTE],
    ['4.7.1 Greylisted, see our help page', 5 * MINUTE],
    ['4.7.1 <a@example.net>: Recipient address rejected: graylisting', 5 * MINUTE],
    ['try again in 1 second', 10 * SECOND],
    ['try again in 90000 seconds', 6 * 60 * MINUTE],
  ])('names its wait: %s', (reply, wait) => {
    expect(retryHint(450, reply)).toBe(wait);
  });

  test.each([
    ['4.3.2 System not accepting messages now'],
    ['4.7.0 Try again later'],
    ['4.4.1 Connection from 10.0.0.1:25 took 30 seconds'],
    ['4.2.2 Mailbox full: 500 m of 500 m used'],
    [''],
  ])('names none: %s', (reply) => {
    expect(retryHint(451, reply)).toBeUndefined();
  });

  test('is the only thing that can ask for time', () => {
    for (const code of [null, 250, 354, 550, 554])
      expect(retryHint(code, 'try again in 300 seconds')).toBeUndefined();
  });

  test('costs nothing however hostile it is', () => {
    const began = performance.now();
    for (const piece of ['again in 1', '1:1:1:', ' 9 s', 'grey-list'])
      retryHint(450, piece.repeat(10_000 / piece.length));
    expect(performance.now() - began).toBeLessThan(50);
  });
});

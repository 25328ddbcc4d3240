import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { retryHint } from '../../src/core/retry-hint.js';
import { parseReply } from '../../src/core/smtp-reply.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const hintOf = (reply: string) => retryHint(parseReply(reply));

describe('a wait that the server names', () => {
  test.each<[string, number]>([
    [
      '450 4.7.1 <u@x.example>: Recipient address rejected: Greylisted, try again in 300 seconds',
      300 * SECOND,
    ],
    ['450 4.7.1 Please try again in 300s', 300 * SECOND],
    ['451 4.7.1 Please retry in 5 minutes', 5 * MINUTE],
    ['450 Greylisted for 04:59', 4 * MINUTE + 59 * SECOND],
    ['451 4.7.1 Greylisting in action, please come back in 00:10:00', 10 * MINUTE],
    ['450 4.2.0 You are greylisted for 5 minutes (2)', 5 * MINUTE],
    ['421 4.7.0 Retry after 1 hour', HOUR],
    ['450 4.7.1 Service unavailable; Retry-After: 120 seconds', 120 * SECOND],
    ['452 4.3.1 Please try again after 1h30m', 90 * MINUTE],
    ['451 Try again in 4 minutes and 59 seconds.', 4 * MINUTE + 59 * SECOND],
    ['450 4.7.1 please try again later (5 min)', 5 * MINUTE],
    [
      '450-4.7.1 Too many connections from your host.\r\n450 4.7.1 Please wait at least 15 minutes',
      15 * MINUTE,
    ],
    ['451 Temporarily deferred, resend in 5-10 minutes', 10 * MINUTE],
    ['451 Sorry, come back in an hour', HOUR],
    ['451 4.7.1 Delayed by 20 min', 20 * MINUTE],
    ['450 4.7.1 Greylisted for 04:59', 4 * MINUTE + 59 * SECOND],
    ['450 Too many messages, retry in 15 minutes', 15 * MINUTE],
    ['450 please wait 2 min before trying again', 2 * MINUTE],
    ['450 try again in 60 seconds or try again in 15 minutes', 15 * MINUTE],
  ])('%s', (reply, wait) => {
    expect(hintOf(reply)).toBe(wait);
  });

  test('is at least 10 seconds and at most 6 hours', () => {
    expect(hintOf('450 try again in 1 second')).toBe(10 * SECOND);
    expect(hintOf('450 try again in 0 minutes')).toBe(10 * SECOND);
    expect(hintOf('450 try again in 999999 hours')).toBe(6 * HOUR);
    expect(hintOf('450 try again in 9999999 hours')).toBeUndefined();
  });
});

describe('greylisting without a time', () => {
  test.each([
    '450 4.2.0 <u@x.example>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/x.html',
    '451 4.7.1 Greylisting in action, please come back later',
    '450 4.7.0 Graylisted: not yet known',
    '421 Grey-listed, try later',
    '450 4.7.1 <a@example.net>: Recipient address rejected: graylisting',
    '451 4.7.1 Grey listing, 5 minutes ago you were not known',
  ])('is let in after 5 minutes: %s', (reply) => {
    expect(hintOf(reply)).toBe(5 * MINUTE);
  });
});

describe('what is no wait', () => {
  test.each([
    // Another verdict than "later".
    '550 5.7.1 Greylisted, try again in 300 seconds',
    '250 2.0.0 Ok: try again in 300 seconds',
    '451 5.7.1 try again in 300 seconds',
    // Times that are about something else.
    '450 4.7.1 Limit of 100 messages in 1 hour exceeded, please try again later',
    '452 4.5.3 Try again later. Your limit is 50 recipients in 10 minutes',
    '450 4.4.2 Timeout after 300 seconds waiting for data',
    '450 4.7.1 try again, message 17 seconds old is a duplicate of 300 seconds ago',
    '450 4.7.1 try again in 300',
    '450 4.7.1 retry after 3 attempts',
    '450 4.7.1 retry at 10:30',
    '451 2030-01-01 14:05:09 deferred, please try again later',
    '450 4.4.1 Connection from 10.0.0.1:25 took 30 seconds, try again',
    '450 4.7.1 come back in 10:30 am',
    '450 4.7.1 try again in a few minutes',
    '450 4.7.1 try again in https://x.example/300-seconds 5m@x.example',
    '450 4.2.2 mailbox full',
    '421 4.7.28 Our system has detected an unusual rate of mail, see https://support.example/greylisting?wait=300s',
    '300 seconds',
    '',
  ])('%s', (reply) => {
    expect(hintOf(reply)).toBeUndefined();
  });
});

describe('a hostile reply', () => {
  const repeated = [
    'try again ',
    'try again in a ',
    '1h',
    '9:',
    'grey-',
    'a in for ',
    '5-',
    'and 5 minutes and ',
  ];
  test('of 10 kB is read in less than 50 ms', () => {
    for (const part of repeated) {
      const reply = `450 ${part.repeat(Math.ceil(10_000 / part.length))}`;
      const started = performance.now();
      for (let i = 0; i < 5; i++) retryHint({ code: 450, enhanced: null, reply });
      expect((performance.now() - started) / 5, part).toBeLessThan(50);
    }
  });

  test('names nothing outside the bounds, whatever it is', () => {
    const word = fc.constantFrom(
      ...repeated,
      'retry ',
      'after ',
      '300 ',
      'seconds ',
      ':',
      '00',
      'hours',
      ' ',
      '-',
      '@',
    );
    const reply = fc.array(word, { maxLength: 60 }).map((words) => words.join(''));
    fc.assert(
      fc.property(fc.oneof(reply, fc.string()), (text) => {
        const hint = retryHint({ code: 450, enhanced: null, reply: text });
        if (hint === undefined) return;
        expect(hint).toBeGreaterThanOrEqual(10 * SECOND);
        expect(hint).toBeLessThanOrEqual(6 * HOUR);
      }),
    );
  });
});

import { expect, test } from 'vitest';
import { FailureThrottle } from '../../src/core/failure-throttle.js';

const fail = (throttle: FailureThrottle, address: string, times: number, now: number) =>
  Array.from({ length: times }, () => throttle.failed(address, now));

test('ten failures within a minute are free, then the address waits until the minute is over', () => {
  const throttle = new FailureThrottle();
  expect(fail(throttle, 'a', 10, 0)).toEqual(Array(10).fill(undefined));
  expect(throttle.failed('a', 0)).toBe(60);
  expect(throttle.failed('a', 59_001)).toBe(1);
  expect(throttle.failed('a', 59_999)).toBe(1);
  expect(throttle.failed('a', 60_000)).toBeUndefined();
});

test('one address is not made to wait for another', () => {
  const throttle = new FailureThrottle();
  fail(throttle, 'a', 100, 0);
  expect(throttle.failed('b', 0)).toBeUndefined();
});

test('a clock that is set back does not lock an address out', () => {
  const throttle = new FailureThrottle();
  fail(throttle, 'a', 100, 10_000_000);
  expect(throttle.failed('a', 5_000_000)).toBeUndefined();
});

test('of more than 10,000 addresses the oldest is forgotten, and no other', () => {
  const throttle = new FailureThrottle();
  fail(throttle, 'oldest', 11, 0);
  fail(throttle, 'second', 11, 0);
  for (let n = 0; n < 9999; n++) throttle.failed(`10.0.${n >> 8}.${n & 255}`, 0);
  expect(throttle.failed('second', 0)).toBe(60);
  expect(throttle.failed('oldest', 0)).toBeUndefined();
});

test('an IPv6 client does not get more by calling from each address of its network', () => {
  const throttle = new FailureThrottle();
  for (let n = 0; n < 10; n++) throttle.failed(`2001:db8:1:2::${n}`, 0);
  expect(throttle.failed('2001:db8:1:2:ffff::1', 0)).toBe(60);
  expect(throttle.failed('2001:db8:1:3::1', 0)).toBeUndefined();
  expect(throttle.failed('', 0)).toBeUndefined();
});

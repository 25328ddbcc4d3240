import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { closest, editDistance } from '../../src/cli/did-you-mean.js';

describe('editDistance', () => {
  it.each([
    ['', '', 0],
    ['abc', '', 3],
    ['kitten', 'sitting', 3],
    ['strat', 'start', 1],
    ['acounts', 'accounts', 1],
    ['ab', 'ba', 1],
  ])('%s to %s is %i', (a, b, distance) => expect(editDistance(a, b)).toBe(distance));

  it('is symmetric, zero only for equal words, and at most the longer length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe('closest', () => {
  it('allows one edit in a short word and two in a longer one', () => {
    expect(closest('lst', ['list', 'logs'])).toBe('list');
    expect(closest('lost', ['stop'])).toBeUndefined();
    expect(closest('mesages', ['messages'])).toBe('messages');
    expect(closest('mesagse', ['messages'])).toBe('messages');
    expect(closest('msgs', ['messages'])).toBeUndefined();
  });

  it('prefers the nearest candidate, then the first', () => {
    expect(closest('tokenz', ['tokens', 'token'])).toBe('tokens');
    expect(closest('lists', ['lisps', 'list'])).toBe('lisps');
  });

  it('has no suggestion for a word that is right or absurdly long', () => {
    expect(closest('list', ['list'])).toBeUndefined();
    expect(closest('x'.repeat(100_000), ['list'])).toBeUndefined();
  });
});

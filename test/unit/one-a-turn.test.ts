import { describe, expect, it } from 'vitest';
import { createOneATurn } from '../../src/delivery/one-a-turn.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('createOneATurn', () => {
  it('lets the first go on at once and one of the others in each turn, in the order of their places', async () => {
    const next = createOneATurn<number>((one, other) => one < other);
    const gone: number[] = [];
    const work = async (n: number): Promise<void> => {
      await next(n);
      gone.push(n);
    };
    expect(next(0)).toBeUndefined();
    const all = [2, 3, 1].map(work);
    const seen: number[] = [];
    while (gone.length < 3) {
      seen.push(gone.length);
      await turn();
    }
    await Promise.all(all);
    expect(gone).toEqual([1, 2, 3]);
    expect(seen).toEqual([0, 1, 2]);
  });

  it('lets one go on at once again when nobody waits', async () => {
    const next = createOneATurn<number>((one, other) => one < other);
    expect(next(0)).toBeUndefined();
    await turn();
    expect(next(0)).toBeUndefined();
  });
});

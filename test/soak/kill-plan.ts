import { FAIL_POINTS, type FailPoint } from '../../src/core/fail-points.js';
import { scale } from './scale.js';
import type { Seeded } from './seeded.js';

const ROUNDS_OF_POINTS = scale(12, 1);
const KILLS_IN_RECOVERY = scale(12, 2);
const KILLS_AT_RANDOM = scale(80, 8);
const LONGEST_LIFE_MS = scale(1500, 700);
const MOST_PASSES = 20;
/** A kill at these leaves at least one message of which nobody knows what became. */
const LEAVES_UNCERTAIN: readonly FailPoint[] = ['marked', 'body-begun', 'body-ended', 'answered'];

/** When a daemon is killed: by itself at the n-th pass of a point, or by the test. */
export type Kill =
  | { at: 'point'; point: FailPoint; passes: number }
  | { at: 'moment'; afterMs: number }
  | { at: 'recovery'; afterMs: number };

/** The kills in a random order; before each in the recovery comes one that leaves something to recover. */
export function planKills(random: Seeded): Kill[] {
  const point = (name: FailPoint): Kill => ({
    at: 'point',
    point: name,
    passes: random.whole(1, MOST_PASSES),
  });
  const points = Array.from({ length: ROUNDS_OF_POINTS }, () => random.shuffled(FAIL_POINTS)).flat();
  const recoveries = random
    .shuffled(points.flatMap((name, i) => (LEAVES_UNCERTAIN.includes(name) ? [i] : [])))
    .slice(0, KILLS_IN_RECOVERY);
  const moments = Array.from({ length: KILLS_AT_RANDOM }, (): Kill[] => [
    { at: 'moment', afterMs: random.whole(0, LONGEST_LIFE_MS) },
  ]);
  const rounds = points.map((name, i): Kill[] =>
    recoveries.includes(i) ? [point(name), { at: 'recovery', afterMs: random.whole(0, 4) }] : [point(name)],
  );
  return random.shuffled([...rounds, ...moments]).flat();
}

/**
 * Number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b`
 * (Damerau-Levenshtein in its optimal-string-alignment form: no part is edited twice).
 */
export function editDistance(a: string, b: string): number {
  let beforePrevious: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(at(previous, j) + 1, at(current, j - 1) + 1, at(previous, j - 1) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        cost = Math.min(cost, at(beforePrevious, j - 2) + 1);
      }
      current.push(cost);
    }
    beforePrevious = previous;
    previous = current;
  }
  return at(previous, b.length);
}

function at(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

/**
 * The candidate that `word` is most likely a slip of, or undefined when none is close. A word of up to five
 * letters may be one edit away, a longer one two; the first of equally close candidates wins.
 */
export function closest(word: string, candidates: Iterable<string>): string | undefined {
  // Long input is no slip of a short word, and its distance need not be computed.
  if (word.length < 2 || word.length > 80) return undefined;
  let best: string | undefined;
  let limit = word.length > 5 ? 2 : 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > limit) continue;
    const distance = editDistance(word, candidate);
    if (distance <= limit && distance > 0) {
      best = candidate;
      limit = distance - 1;
    }
  }
  return best;
}

import type { Millis } from './types.js';

const UNITS: ReadonlyMap<string, Millis> = new Map(
  (
    [
      [1000, ['s', 'sec', 'secs', 'second', 'seconds']],
      [60_000, ['m', 'min', 'mins', 'minute', 'minutes']],
      [3_600_000, ['h', 'hr', 'hrs', 'hour', 'hours']],
    ] as const
  ).flatMap(([millis, names]) => names.map((name): [string, Millis] => [name, millis])),
);
const NUMBER_WORDS: Readonly<Record<string, number>> = {
  a: 1,
  an: 1,
  one: 1,
  two: 2,
  three: 3,
  five: 5,
  ten: 10,
  fifteen: 15,
  thirty: 30,
};
/** A reply is read so far; nobody says when to come back behind that. */
const MOST_CHARACTERS = 1000;

/** Most tokens that may stand between the words that announce a time and the time. */
export const LONGEST_FILLER = 6;

/**
 * Cuts text into words, numbers and marks, in lower case; at most its first 1,000 characters, in one pass. What holds numbers
 * that are no times (addresses, links) is left out.
 */
export function tokensOf(text: string): string[] {
  const words = text.slice(0, MOST_CHARACTERS).toLowerCase().split(/\s/);
  return words
    .map((word) => (word.includes('@') || word.includes('://') ? '\0' : word))
    .flatMap((word) => word.match(/[a-z]+|\d+|[^a-z\d]/g) ?? []);
}

/**
 * Reads a length of time that begins with the given token: `300 seconds`, `4 minutes and 59 seconds`, `1h30m`, `5-10 minutes`
 * (the longer), `an hour`, `04:59`, `00:10:00`.
 *
 * @returns Milliseconds; undefined when there is none, or it is one that has passed.
 */
export function durationAt(tokens: readonly string[], from: number): Millis | undefined {
  const clock = clockAt(tokens, from);
  if (clock !== undefined) return clock;
  let at = from;
  let total: Millis | undefined;
  for (let smallest = Number.POSITIVE_INFINITY; ; ) {
    const part = partAt(tokens, at);
    // Each part of a time is smaller than the one before: whatever follows otherwise is another.
    if (part === null || part.unit >= smallest) break;
    total = (total ?? 0) + part.n * part.unit;
    smallest = part.unit;
    at = part.next;
    while (tokens[at] === 'and' || tokens[at] === ',') at++;
  }
  return tokens[at] === 'ago' ? undefined : total;
}

function numberOf(token: string | undefined): number | null {
  if (token === undefined) return null;
  if (/^\d{1,6}$/.test(token)) return Number(token);
  return Object.hasOwn(NUMBER_WORDS, token) ? (NUMBER_WORDS[token] as number) : null;
}

function partAt(tokens: readonly string[], at: number): { n: number; unit: Millis; next: number } | null {
  let n = numberOf(tokens[at]);
  if (n === null) return null;
  let next = at + 1;
  // Of a range the longer is meant to be safe.
  const isRange = tokens[next] === '-' || tokens[next] === 'to';
  const upper = isRange ? numberOf(tokens[next + 1]) : null;
  if (upper !== null) {
    n = Math.max(n, upper);
    next += 2;
  }
  const unit = UNITS.get(tokens[next] ?? '');
  return unit === undefined ? null : { n, unit, next: next + 1 };
}

/** `mm:ss` or `hh:mm:ss` after a word that makes it a length, not a time of day. */
function clockAt(tokens: readonly string[], at: number): Millis | undefined {
  const before = tokens[at - 1];
  if (before !== 'in' && before !== 'for' && before !== 'wait') return undefined;
  const parts: number[] = [];
  let next = at;
  while (/^\d{1,2}$/.test(tokens[next] ?? '')) {
    parts.push(Number(tokens[next]));
    if (tokens[next + 1] !== ':') break;
    next += 2;
  }
  const [seconds, minutes, hours = 0] = parts.reverse();
  if (seconds === undefined || minutes === undefined || parts.length > 3) return undefined;
  if (seconds > 59 || (parts.length === 3 && minutes > 59)) return undefined;
  if (/^(?:am|pm|utc|gmt|ago)$/.test(tokens[next + 1] ?? '')) return undefined;
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

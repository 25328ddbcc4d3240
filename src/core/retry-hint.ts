import { durationAt, LONGEST_FILLER, tokensOf } from './spoken-duration.js';
import type { Millis } from './types.js';

/** What a wait is read from: a reply that puts a message off. */
export interface PutOff {
  code: number | null;
  /** Enhanced status code of RFC 3463. */
  enhanced: string | null;
  reply: string;
}

const MINUTE: Millis = 60_000;
const SHORTEST: Millis = 10_000;
const LONGEST: Millis = 6 * 60 * MINUTE;
/** A greylisting server that names no time: most let a message in after five minutes at the latest (RFC 6647). */
const GREYLISTED: Millis = 5 * MINUTE;

/** Words after which a server says for how long it wants to be left alone. */
const PHRASES: readonly string[][] = [
  ['try', 'again'],
  ['try', 'it', 'again'],
  ['try', 'later'],
  ['try', 'back'],
  ['trying', 'again'],
  ['retry'],
  ['retries'],
  ['retrying'],
  ['come', 'back'],
  ['check', 'back'],
  ['send', 'again'],
  ['send', 'it', 'again'],
  ['resend'],
  ['resubmit'],
  ['reconnect'],
  ['please', 'wait'],
  ['must', 'wait'],
  ['wait', 'at', 'least'],
  ['wait', 'another'],
  ['greylisted'],
  ['graylisted'],
  ['greylisting'],
  ['graylisting'],
  ['deferred', 'for'],
  ['delayed', 'for'],
  ['delayed', 'by'],
];
const PHRASES_BY_FIRST = new Map<string, string[][]>();
for (const phrase of PHRASES) {
  const [first = ''] = phrase;
  PHRASES_BY_FIRST.set(first, [...(PHRASES_BY_FIRST.get(first) ?? []), phrase]);
}

/** What may stand between such a phrase and the time. */
const FILLER: ReadonlySet<string> = new Set([
  ...[
    'in',
    'after',
    'for',
    'at',
    'least',
    'about',
    'approximately',
    'another',
    'again',
    'later',
    'than',
    'more',
  ],
  ...[
    'a',
    'the',
    'minimum',
    'of',
    'please',
    'wait',
    'and',
    'next',
    'time',
    'timeout',
    'delay',
    'period',
    'is',
    'be',
  ],
  ...['temporarily', 'sending', 'delivery', 'back', 'come', 'try', 'retry', 'has', 'been', 'will'],
  ...[':', ',', '(', '-', '=', '[', ';'],
]);

/**
 * Reads out of a 4xx reply how long the server wants to be left alone: `try again in 300 seconds`, `come back in 00:10:00`,
 * `Greylisted for 5 minutes`. Only a time that directly follows such words counts; the longest of several does.
 *
 * @returns Milliseconds, 10 seconds to 6 hours; 5 minutes for greylisting without a time; undefined when the reply names none.
 */
export function retryHint({ code, enhanced, reply }: PutOff): Millis | undefined {
  if (code === null || code < 400 || code > 499) return undefined;
  // A reply that contradicts itself is not taken at its word.
  if (enhanced !== null && !enhanced.startsWith('4')) return undefined;
  const tokens = tokensOf(reply);
  let longest: Millis | undefined;
  for (let at = 0; at < tokens.length; at++) {
    for (const phrase of PHRASES_BY_FIRST.get(tokens[at] as string) ?? []) {
      if (!phrase.every((word, i) => tokens[at + i] === word)) continue;
      const named = timeAfter(tokens, at + phrase.length);
      if (named !== undefined && named > (longest ?? -1)) longest = named;
    }
  }
  if (longest !== undefined) return Math.min(Math.max(longest, SHORTEST), LONGEST);
  return tokens.some((token, i) => isGreylisting(token, tokens[i + 1], tokens[i + 2]))
    ? GREYLISTED
    : undefined;
}

/** The time that follows, after nothing but a few words that say no more than that it does. */
function timeAfter(tokens: readonly string[], from: number): Millis | undefined {
  for (let at = from; at <= from + LONGEST_FILLER; at++) {
    const found = durationAt(tokens, at);
    if (found !== undefined) return found;
    if (!FILLER.has(tokens[at] ?? '')) return undefined;
  }
  return undefined;
}

function isGreylisting(token: string, next = '', afterNext = ''): boolean {
  if (/^gr[ea]ylist(?:ed|ing|s)?$/.test(token)) return true;
  if (token !== 'grey' && token !== 'gray') return false;
  return /^list(?:ed|ing)?$/.test(next === '-' ? afterNext : next);
}

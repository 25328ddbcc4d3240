import type { Millis } from './types.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const SHORTEST: Millis = 10 * SECOND;
const LONGEST: Millis = 6 * HOUR;
/** What greylisting servers commonly ask for; sooner is refused again. */
const GREYLIST_WAIT: Millis = 5 * MINUTE;
/** Replies are read this far: no server says it later. */
const MOST_READ = 1000;

/** Only next to such words is a number a wait. */
const RETRY_WORDS =
  /\b(?:try|retry|again|come back|later|wait|grey-?list(?:ed|ing)?|gray-?list(?:ed|ing)?|delayed|throttled)\b/i;
const GREYLISTED = /\bgr[ea]y-?list(?:ed|ing)?\b/i;
const WITH_UNIT = /\b(\d{1,6})\s{0,2}(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b/i;
const CLOCK = /\b(?:(\d{1,2}):)?(\d{1,2}):(\d{2})\b/;

/**
 * Reads how long a server asks to be left alone out of its temporary refusal, for example "try again in 300 seconds",
 * "Greylisted for 04:59" or "come back in 00:10:00". A greylisting that names no time is taken for five minutes. Nothing is
 * believed below ten seconds or above six hours.
 *
 * @param code - Reply code; only a 4xx can ask for time.
 * @returns Milliseconds, or undefined when the reply says nothing of it.
 */
export function retryHint(code: number | null, reply: string): Millis | undefined {
  if (code === null || code < 400 || code >= 500) return undefined;
  const text = reply.slice(0, MOST_READ);
  if (!RETRY_WORDS.test(text)) return undefined;
  const named = waitIn(text);
  if (named !== undefined) return Math.min(Math.max(named, SHORTEST), LONGEST);
  return GREYLISTED.test(text) ? GREYLIST_WAIT : undefined;
}

function waitIn(text: string): Millis | undefined {
  const withUnit = WITH_UNIT.exec(text);
  if (withUnit !== null) return Number(withUnit[1]) * unitOf(withUnit[2] ?? '');
  const clock = CLOCK.exec(text);
  if (clock === null) return undefined;
  const [, hours = '0', minutes, seconds] = clock;
  return Number(hours) * HOUR + Number(minutes) * MINUTE + Number(seconds) * SECOND;
}

function unitOf(unit: string): Millis {
  const first = unit.charAt(0).toLowerCase();
  return first === 'h' ? HOUR : first === 'm' ? MINUTE : SECOND;
}

import { MailProxyError } from './errors.js';
import type { Millis } from './types.js';

/** 2100-01-01T00:00:00Z. A larger number is almost always milliseconds given as seconds. */
const LATEST: Millis = 4_102_444_800_000;

const ISO =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2})(?::(\d{2})(?:[.,](\d{1,9}))?)?(?:[Zz]|([+-])(\d{2}):?(\d{2}))$/;

function refuse(why: string): never {
  throw new MailProxyError(
    'validation_failed',
    `The time ${why}: give Unix seconds, or ISO 8601 with an offset such as 2030-01-31T09:00:00+01:00.`,
  );
}

function parseIso(text: string): Millis {
  const match = text.length > 64 ? null : ISO.exec(text);
  if (match === null) refuse('cannot be read');
  const part = (index: number): number => Number(match[index] ?? 0);
  const [year, month, day, hour, minute, second] = [part(1), part(2), part(3), part(4), part(5), part(6)];
  // Date.UTC rolls the 31st of February over into March and so does an hour of 25: the round trip shows it.
  const civil = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const same =
    civil.getUTCFullYear() === year &&
    civil.getUTCMonth() === month - 1 &&
    civil.getUTCDate() === day &&
    civil.getUTCHours() === hour &&
    civil.getUTCMinutes() === minute &&
    civil.getUTCSeconds() === second;
  if (!same || part(9) > 23 || part(10) > 59) refuse('does not exist in the calendar');
  const offset = (part(9) * 60 + part(10)) * 60_000 * (match[8] === '-' ? -1 : 1);
  return civil.getTime() + Math.floor(Number(`0.${match[7] ?? '0'}`) * 1000) - offset;
}

/**
 * Reads a time from the wire: Unix seconds with or without a fraction, or ISO 8601 with an offset. Returns Unix milliseconds.
 *
 * @throws MailProxyError `validation_failed` for anything else, and for times before 1970 or after 2099
 */
export function parseTimestamp(value: number | string): Millis {
  const millis = typeof value === 'number' ? Math.round(value * 1000) : parseIso(value.trim());
  if (!Number.isFinite(millis)) refuse('is not a number');
  if (millis < 0 || millis >= LATEST) refuse('is not between 1970 and 2099 (milliseconds are not accepted)');
  return millis;
}

/** Unix seconds, whole and rounded down, as the wire's `*_ts` fields carry them. */
export function formatTs(millis: Millis): number {
  return Math.floor(millis / 1000);
}

/** ISO 8601 in UTC with milliseconds, as the wire's `*_at` fields carry it. */
export function formatIso(millis: Millis): string {
  return new Date(millis).toISOString();
}

/** Date and time of RFC 5322 in UTC, as a `Date` header carries it. */
export function formatRfc5322(millis: Millis): string {
  return new Date(millis).toUTCString().replace('GMT', '+0000');
}

/** A moment in UTC as a part of a file's name: `20300131T090507Z`. */
export function formatFileTime(millis: Millis): string {
  return new Date(millis).toISOString().replace(/\.\d+/, '').replaceAll(/[-:]/g, '');
}

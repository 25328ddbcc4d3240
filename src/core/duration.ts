import { MailProxyError } from './errors.js';
import type { Millis } from './types.js';

const UNITS: Readonly<Record<string, Millis>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};
const LONGEST: Millis = 100 * 365 * 86_400_000;

/**
 * Reads a length of time as people write it: `90d`, `12h`, `1h30m`.
 *
 * @returns Milliseconds.
 * @throws MailProxyError `usage`, naming the setting.
 */
export function parseDuration(text: string, what: string): Millis {
  const parts = [...text.matchAll(/(\d{1,9})([smhdw])/gy)];
  const read = parts.reduce((length, [all]) => length + all.length, 0);
  const total = parts.reduce((sum, [, n, unit]) => sum + Number(n) * (UNITS[unit ?? ''] ?? 0), 0);
  if (read === 0 || read !== text.length || total <= 0 || total > LONGEST) {
    throw new MailProxyError('usage', `${what} must be a length of time such as 90d, 12h or 30m.`);
  }
  return total;
}

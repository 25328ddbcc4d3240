import ipaddr from 'ipaddr.js';
import type { Millis } from './types.js';

const WINDOW: Millis = 60_000;
const FREE_FAILURES = 10;
const MOST_ADDRESSES = 10_000;

interface Failures {
  since: Millis;
  count: number;
}

/**
 * Counts failed logins by address. After ten within a minute the address is told to wait until the minute is over; a valid token
 * never comes here. Memory is bounded: of more than 10,000 addresses the oldest are forgotten.
 */
export class FailureThrottle {
  readonly #byAddress = new Map<string, Failures>();

  /**
   * Counts one failure.
   *
   * @returns Seconds to wait, or undefined while the address is within its free failures.
   */
  failed(address: string, now: Millis): number | undefined {
    const client = clientOf(address);
    const known = this.#byAddress.get(client);
    if (known === undefined || now - known.since >= WINDOW || now < known.since) {
      this.#byAddress.delete(client);
      this.#byAddress.set(client, { since: now, count: 1 });
      if (this.#byAddress.size > MOST_ADDRESSES) {
        const [oldest] = this.#byAddress.keys();
        if (oldest !== undefined) this.#byAddress.delete(oldest);
      }
      return undefined;
    }
    known.count++;
    return known.count > FREE_FAILURES ? Math.ceil((known.since + WINDOW - now) / 1000) : undefined;
  }
}

/** One client has a whole /64 of IPv6 to call from: all of it counts as one. */
export function clientOf(address: string): string {
  return ipaddr.IPv6.isValid(address) ? ipaddr.IPv6.parse(address).parts.slice(0, 4).join(':') : address;
}

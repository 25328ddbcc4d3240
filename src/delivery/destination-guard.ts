import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { isAllowed, isPublicAddress, type PrivateAllowance } from '../core/destination.js';

/** A destination that may not be dialled. */
export class DestinationRefused extends Error {
  override readonly name = 'DestinationRefused';
}

/**
 * Finds the address to dial for a host that a tenant chose, and refuses it when any of its addresses is private: a name that
 * answers differently the next time (DNS rebinding) gains nothing, since the very address that was checked is dialled.
 *
 * @throws DestinationRefused, or the resolver's own error.
 */
export type DestinationGuard = (host: string) => Promise<string>;

/** Makes the one guard of destinations that tenants set. */
export function createDestinationGuard(allowance: PrivateAllowance): DestinationGuard {
  return async (host) => {
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    const addresses =
      isIP(bare) === 0
        ? (await lookup(bare, { all: true, verbatim: false })).map(({ address }) => address)
        : [bare];
    const [first] = addresses;
    const refused = addresses.some(
      (address) => !isPublicAddress(address) && !isAllowed(bare, address, allowance),
    );
    if (first === undefined || refused) throw new DestinationRefused('The host is on a private network.');
    return first;
  };
}

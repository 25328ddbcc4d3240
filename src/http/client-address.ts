import ipaddr from 'ipaddr.js';
import { parseNetworks } from '../core/destination.js';

/** Proxies that are believed when nothing is said: those on this machine. */
export const DEFAULT_TRUSTED_PROXIES: readonly string[] = ['127.0.0.0/8', '::1/128'];

type Network = [ipaddr.IPv4 | ipaddr.IPv6, number];

function contains([network, bits]: Network, address: ipaddr.IPv4 | ipaddr.IPv6): boolean {
  return network.kind() === address.kind() && address.match(network, bits);
}

/**
 * Makes the function that tells a client's address: the peer's, unless the peer is a trusted proxy that says whom it
 * speaks for in `X-Real-IP`. Anything there that is not one address is ignored.
 *
 * @param trusted - Addresses or CIDR networks.
 * @throws MailProxyError `usage` for an entry that is neither.
 */
export function clientAddress(
  trusted: readonly string[] = DEFAULT_TRUSTED_PROXIES,
): (peer: string | undefined, realIp: string | undefined) => string {
  const networks = parseNetworks(trusted.join(','), 'GMP_TRUSTED_PROXIES');
  return (peer, realIp) => {
    if (peer === undefined || !ipaddr.isValid(peer)) return '';
    const address = ipaddr.process(peer);
    const claimed = realIp?.trim();
    if (claimed && ipaddr.isValid(claimed) && networks.some((network) => contains(network, address))) {
      return ipaddr.process(claimed).toString();
    }
    return address.toString();
  };
}

import ipaddr from 'ipaddr.js';
import { MailProxyError } from './errors.js';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** What on private networks may be reached all the same: host names, addresses and networks. */
export interface PrivateAllowance {
  hosts: ReadonlySet<string>;
  networks: ReadonlyArray<[Address, number]>;
}

/** The only IPv6 addresses that are public (RFC 4291, section 2.4): old compatible and local NAT64 forms lie outside. */
const GLOBAL_UNICAST = ipaddr.parse('2000::');

/** Nothing private may be reached. */
export const NO_PRIVATE: PrivateAllowance = { hosts: new Set(), networks: [] };

/**
 * Reads a comma-separated list of addresses and networks in CIDR form.
 *
 * @throws MailProxyError `usage`, naming the setting.
 */
export function parseNetworks(text: string, what: string): Array<[Address, number]> {
  return entriesOf(text).map((entry) => {
    const network = networkOf(entry);
    if (network === undefined)
      throw new MailProxyError(
        'usage',
        `${what} must be addresses or networks such as 10.0.0.0/8, separated by commas.`,
      );
    return network;
  });
}

/** Reads `MAIL_PROXY_ALLOW_PRIVATE`: hosts, addresses and networks, separated by commas. */
export function parseAllowance(text: string | undefined): PrivateAllowance {
  const entries = entriesOf(text ?? '');
  const networks = entries.map(networkOf).filter((network) => network !== undefined);
  const hosts = entries.filter((entry) => networkOf(entry) === undefined).map((host) => host.toLowerCase());
  return { hosts: new Set(hosts), networks };
}

/** Addresses by which clouds speak to their machines, public by their looks. */
const PUBLIC_METADATA: ReadonlySet<string> = new Set(['168.63.129.16']);

/**
 * Whether an address may be dialled on the word of a tenant: public unicast only. Loopback, private, link-local (cloud metadata
 * among them), multicast and reserved ranges are not, nor are IPv4 addresses in IPv6 clothes (mapped, NAT64, 6to4, Teredo), which
 * reach the same places by another name.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  if (PUBLIC_METADATA.has(ipaddr.process(address).toString())) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  return parsed.kind() === 'ipv4' || parsed.match(GLOBAL_UNICAST, 3);
}

/** Whether a destination is on a private network that the operator has opened. */
export function isAllowed(host: string, address: string, { hosts, networks }: PrivateAllowance): boolean {
  if (hosts.has(host.toLowerCase())) return true;
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  return networks.some(([network, bits]) => network.kind() === parsed.kind() && parsed.match(network, bits));
}

function entriesOf(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function networkOf(entry: string): [Address, number] | undefined {
  if (ipaddr.isValidCIDR(entry)) return ipaddr.parseCIDR(entry);
  if (!ipaddr.isValid(entry)) return undefined;
  const address = ipaddr.process(entry);
  return [address, address.kind() === 'ipv4' ? 32 : 128];
}

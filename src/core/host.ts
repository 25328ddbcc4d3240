import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';

const ASCII_OUTSIDE_NAMES = /[\0-,/:-@[-^`{-\x7f]/;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/**
 * Brings the name of a server to the form it is dialled and bound by: lower case, A-labels for international
 * names (RFC 5890), no trailing dot. IP addresses stay as they are.
 *
 * @returns Undefined when the text is no host name.
 */
export function normalizeHost(text: string): string | undefined {
  if (text.length > 253) return undefined;
  if (isIP(text) !== 0) return text.toLowerCase();
  // domainToASCII reads its input as a URL host: it decodes %41 and stops at a slash, so nothing of the kind gets there.
  if (ASCII_OUTSIDE_NAMES.test(text)) return undefined;
  const ascii = domainToASCII(text.replace(/\.$/, '')).toLowerCase();
  if (ascii === '' || ascii.length > 253) return undefined;
  // domainToASCII rewrites odd spellings of IPv4 (0x7f.1, 2130706433): what it means must be what was typed.
  if (isIP(ascii) !== 0) return undefined;
  return ascii.split('.').every((label) => LABEL.test(label)) ? ascii : undefined;
}

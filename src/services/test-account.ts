import { openPassword } from '../crypto/account-password.js';
import type { DestinationGuard } from '../delivery/destination-guard.js';
import { type ProbeReport, probeAccount } from '../delivery/probe.js';
import type { OpenOptions } from '../delivery/smtp-session.js';
import { getStoredAccount } from './accounts.js';
import type { ServiceContext } from './context.js';

/** Somebody waits for the answer: shorter than when mail is sent. */
const PROBE_TIMEOUTS = { connect: 10_000, greeting: 10_000, open: 20_000 };

/**
 * Tries a stored account as sending would use it: connects, protects and logs in, and offers no message.
 *
 * @returns What was found; a server that cannot be used is part of it, not a failure of this call.
 * @throws MailProxyError `account_not_found`, `key_missing`, `credential_unreadable`.
 */
export async function testAccount(
  { store, keyring }: Pick<ServiceContext, 'store' | 'keyring'>,
  tenantId: string,
  id: string,
  guard: DestinationGuard,
  options: OpenOptions = {},
): Promise<ProbeReport> {
  const account = await getStoredAccount(store, tenantId, id);
  const { host, port, tls, tlsVerify, tlsCa, user, setBy } = account;
  const password = openPassword(keyring, account);
  const guarded = setBy === 'tenant' ? { guard } : {};
  const endpoint = { host, port, tls, tlsVerify, tlsCa, user, password, ...guarded };
  return probeAccount(endpoint, { ...options, timeouts: { ...PROBE_TIMEOUTS, ...options.timeouts } });
}

import { openPassword } from '../crypto/account-password.js';
import { type ProbeReport, probeAccount } from '../delivery/probe.js';
import type { OpenOptions } from '../delivery/smtp-session.js';
import { getStoredAccount } from './accounts.js';
import type { ServiceContext } from './context.js';

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
  options: OpenOptions = {},
): Promise<ProbeReport> {
  const account = await getStoredAccount(store, tenantId, id);
  const { host, port, tls, tlsVerify, tlsCa, user } = account;
  const password = openPassword(keyring, account);
  return probeAccount({ host, port, tls, tlsVerify, tlsCa, user, password }, options);
}

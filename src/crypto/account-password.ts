import type { SealedSecret } from '../core/types.js';
import { type PasswordBinding, passwordAdditionalData } from './binding.js';
import type { Keyring } from './keyring.js';

/** What is needed of an account to open its password. */
export interface SealedAccount extends PasswordBinding {
  tenantId: string;
  id: string;
  password: SealedSecret | null;
}

/**
 * Opens an account's password for use, never for showing.
 *
 * @returns Null when the account has none.
 * @throws MailProxyError `key_missing` or `credential_unreadable`.
 */
export function openPassword(keyring: Keyring, account: SealedAccount): string | null {
  if (account.password === null) return null;
  return keyring.open(
    account.password,
    passwordAdditionalData(account.tenantId, account.id, account),
    `The password of account "${account.id}" of tenant "${account.tenantId}"`,
  );
}

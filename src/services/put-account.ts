import {
  type AccountInput,
  type AccountSettings,
  resolveAccountSettings,
  sameBinding,
} from '../core/account-settings.js';
import { MailProxyError } from '../core/errors.js';
import { requireId } from '../core/ids.js';
import type { Account, SealedSecret, SetBy } from '../core/types.js';
import { passwordAdditionalData } from '../crypto/binding.js';
import type { AccountChange, StoredAccount } from '../store/accounts.js';
import { tenantScope } from '../store/scope.js';
import { changeBy, type ServiceContext, setBy } from './context.js';

/** How what was said meets an account that exists. */
export type PutMode =
  /** Must be new. */
  | 'add'
  /** Must exist; what is not said stays. */
  | 'update'
  /** New or not; what is not said takes its default, the password apart. */
  | 'replace';

/**
 * Adds or changes an SMTP account; its password is sealed and bound to the server it is for.
 *
 * @param id - Undefined takes the first free of `smtp1`, `smtp2`, …
 * @throws MailProxyError `tenant_not_found`, `account_not_found`, `already_exists`, `validation_failed`,
 * `secret_required` when the stored password would go elsewhere, `key_missing` when it cannot be sealed here.
 */
export async function putAccount(
  context: ServiceContext,
  tenantId: string,
  id: string | undefined,
  input: AccountInput,
  mode: PutMode,
): Promise<Account> {
  const scope = tenantScope(tenantId);
  if (id !== undefined) requireId(id, 'account');
  return context.store.accounts.put(scope, id, changeBy(context), (current, accountId, keyId) => {
    if (mode === 'add' && current !== undefined) {
      throw new MailProxyError(
        'already_exists',
        `The account "${accountId}" exists already: change it with "accounts update".`,
      );
    }
    if (mode === 'update' && current === undefined) {
      throw new MailProxyError(
        'account_not_found',
        `There is no account "${accountId}" in tenant "${tenantId}".`,
      );
    }
    // Replacing the default account must not leave the tenant's messages without one.
    const isDefault = input.isDefault ?? current?.isDefault;
    const settings = resolveAccountSettings({ ...input, isDefault }, mode === 'update' ? current : undefined);
    refuseDowngrade(settings, current, input.allowDowngrade === true);
    return {
      ...settings,
      verifiedTlsAt: current?.verifiedTlsAt ?? null,
      setBy: whoChose(context, settings, current),
      password: nextPassword(context, keyId, tenantId, accountId, settings, input, current),
    } satisfies AccountChange;
  });
}

function nextPassword(
  context: ServiceContext,
  keyId: string | undefined,
  tenantId: string,
  accountId: string,
  settings: AccountSettings,
  { password, user }: AccountInput,
  current: StoredAccount | undefined,
): SealedSecret | null {
  const takesUserAway = user === null;
  if (password !== undefined) {
    return context.keyring.seal(password, passwordAdditionalData(tenantId, accountId, settings), keyId);
  }
  if (settings.user === null) {
    // Leaving the user out is not the same as taking it away: that is said with null.
    if (!takesUserAway && current?.password != null) throw secretRequired(accountId);
    return null;
  }
  if (current?.password == null) {
    throw new MailProxyError(
      'secret_required',
      `The user of account "${accountId}" needs a password: send it too.`,
      {
        issues: [{ path: 'password', message: 'A user needs a password.' }],
      },
    );
  }
  if (!sameBinding(current, settings)) throw secretRequired(accountId);
  return current.password;
}

function secretRequired(accountId: string): MailProxyError {
  return new MailProxyError(
    'secret_required',
    `The stored password of account "${accountId}" is bound to its host, port, TLS settings and user: send the password again to change them.`,
    { issues: [{ path: 'password', message: 'Send the password again.' }] },
  );
}

/** Who chose the destination: whoever set it last, not whoever changed a limit since. */
function whoChose(
  context: ServiceContext,
  settings: AccountSettings,
  current: StoredAccount | undefined,
): SetBy {
  const isSame = current !== undefined && current.host === settings.host && current.port === settings.port;
  return isSame ? current.setBy : setBy(context.actor);
}

/**
 * An account that once delivered over verified TLS is never made weaker in passing.
 *
 * @throws MailProxyError `downgrade_refused`.
 */
function refuseDowngrade(
  settings: AccountSettings,
  current: StoredAccount | undefined,
  allowed: boolean,
): void {
  if (current === undefined || current.verifiedTlsAt === null || allowed) return;
  // One that was made weaker on purpose goes on as it is.
  if (!isVerified(current) || isVerified(settings)) return;
  throw new MailProxyError(
    'downgrade_refused',
    `The account "${current.id}" has delivered over verified TLS: say allow_downgrade (--allow-downgrade) to make it weaker on purpose.`,
  );
}

function isVerified({ tls, tlsVerify }: Pick<AccountSettings, 'tls' | 'tlsVerify'>): boolean {
  return tls !== 'none' && tlsVerify;
}

import { MailProxyError } from '../core/errors.js';
import type { SyncEndpoint } from '../core/sync-endpoint.js';
import type { ClientAuthInput } from '../core/tenant-settings.js';
import type { SealedSecret } from '../core/types.js';
import type { Keyring } from '../crypto/keyring.js';
import { additionalDataOf, describePlace, type SecretPlace } from '../crypto/secret-place.js';
import type { StoredTenant } from '../store/tenants.js';

/** Whom a tenant's reports are sent to, and how. */
export interface ReportTarget extends SyncEndpoint {
  /** Whether the tenant chose it: then it is checked before it is dialled. */
  isGuarded: boolean;
  webhookSecret: string | undefined;
}

/** Whether a tenant is called at all: it is active and has an endpoint. */
export function isCalled(tenant: StoredTenant, global: SyncEndpoint | undefined): boolean {
  return tenant.active && (tenant.clientBaseUrl !== null || (tenant.useGlobalSync && global !== undefined));
}

/**
 * The target of a tenant that is called: its own endpoint, or else the global one.
 *
 * @throws MailProxyError `key_missing` or `credential_unreadable` when a secret of it does not open.
 */
export function reportTarget(
  tenant: StoredTenant,
  global: SyncEndpoint | undefined,
  keyring: Keyring,
): ReportTarget | undefined {
  if (!isCalled(tenant, global)) return undefined;
  const open = (sealed: SealedSecret, place: SecretPlace): string =>
    keyring.open(sealed, additionalDataOf(place), capitalized(describePlace(place)));
  const webhookSecret =
    tenant.webhookSecret === null
      ? undefined
      : open(tenant.webhookSecret, { kind: 'webhook-secret', tenantId: tenant.id });
  if (tenant.clientBaseUrl === null) {
    return { ...(global as SyncEndpoint), isGuarded: false, webhookSecret };
  }
  return {
    url: `${tenant.clientBaseUrl.replace(/\/+$/, '')}${tenant.clientSyncPath}`,
    auth: authOf(tenant, open),
    isGuarded: true,
    webhookSecret,
  };
}

function authOf(
  tenant: StoredTenant,
  open: (sealed: SealedSecret, place: SecretPlace) => string,
): ClientAuthInput {
  if (tenant.clientAuthMethod === 'none') return { method: 'none' };
  if (tenant.clientAuthSecret === null) {
    throw new MailProxyError('credential_unreadable', 'The callback credential is missing; set it again.');
  }
  const secret = open(tenant.clientAuthSecret, {
    kind: 'callback-credential',
    tenantId: tenant.id,
    binding: {
      baseUrl: tenant.clientBaseUrl,
      syncPath: tenant.clientSyncPath,
      attachmentPath: tenant.clientAttachmentPath,
    },
  });
  return tenant.clientAuthMethod === 'bearer'
    ? { method: 'bearer', token: secret }
    : { method: 'basic', user: tenant.clientAuthUser ?? '', password: secret };
}

const capitalized = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

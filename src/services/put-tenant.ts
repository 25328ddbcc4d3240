import { MailProxyError } from '../core/errors.js';
import { requireId } from '../core/ids.js';
import {
  type ClientAuthInput,
  resolveTenantSettings,
  sameCallback,
  type TenantInput,
  type TenantSettings,
} from '../core/tenant-settings.js';
import type { SealedSecret, Tenant } from '../core/types.js';
import { callbackAdditionalData, webhookSecretAdditionalData } from '../crypto/binding.js';
import { generateToken, generateWebhookSecret, hashToken } from '../crypto/token.js';
import { tenantScope } from '../store/scope.js';
import type { StoredTenant } from '../store/tenants.js';
import { changeBy, type ServiceContext } from './context.js';
import { tenantNotFound } from './tenants.js';
import { refuseUnusableToken } from './tokens.js';

/** A token chosen by the operator; without one a new tenant gets a generated one. */
export interface ChosenToken {
  token?: string | undefined;
  /** Unix milliseconds. */
  expiresAt?: number | undefined;
}

/** What a created tenant answers once: the secrets that were generated here. */
export interface CreatedTenant {
  tenant: Tenant;
  token: string | undefined;
  webhookSecret: string | undefined;
}

/** Whether what was said must meet a new tenant, an existing one, or either. */
export type TenantPutMode = 'create' | 'update' | 'create-or-update';

/**
 * Creates or changes a tenant. A new one gets a token and a webhook secret, generated unless chosen; only their
 * hash and their sealed form are stored.
 *
 * @throws MailProxyError `already_exists` (tenant or token), `tenant_not_found`, `validation_failed`,
 * `secret_required` when stored callback credentials would go elsewhere, `key_missing`.
 */
export async function putTenant(
  context: ServiceContext,
  tenantId: string,
  input: TenantInput,
  chosen: ChosenToken,
  mode: TenantPutMode,
): Promise<CreatedTenant & { created: boolean }> {
  requireId(tenantId, 'tenant');
  if (chosen.token !== undefined) await refuseUnusableToken(context, chosen.token);
  const generated = { token: generateToken('tenant'), webhookSecret: generateWebhookSecret() };
  let created = false;
  const tenant = await context.store.tenants.put(
    tenantScope(tenantId),
    changeBy(context),
    (current, keyId) => {
      if (mode === 'create' && current !== undefined) {
        throw new MailProxyError(
          'already_exists',
          `The tenant "${tenantId}" exists already: change it with "tenants update".`,
        );
      }
      if (mode === 'update' && current === undefined) throw tenantNotFound(tenantId);
      created = current === undefined;
      const settings = resolveTenantSettings(tenantId, input, current);
      const token = chosen.token ?? (created ? generated.token : undefined);
      const webhookSecret = input.webhookSecret ?? (created ? generated.webhookSecret : undefined);
      return {
        tenant: {
          ...settings,
          clientAuthSecret: nextAuthSecret(context, keyId, tenantId, settings, input.clientAuth, current),
          webhookSecret:
            webhookSecret === undefined
              ? (current?.webhookSecret ?? null)
              : context.keyring.seal(webhookSecret, webhookSecretAdditionalData(tenantId), keyId),
        },
        ...(token === undefined
          ? {}
          : { token: { hash: hashToken(token), expiresAt: chosen.expiresAt ?? null } }),
      };
    },
  );
  return {
    tenant,
    created,
    token: created && chosen.token === undefined ? generated.token : undefined,
    webhookSecret: created && input.webhookSecret === undefined ? generated.webhookSecret : undefined,
  };
}

function nextAuthSecret(
  context: ServiceContext,
  keyId: string | undefined,
  tenantId: string,
  settings: TenantSettings,
  auth: ClientAuthInput | undefined,
  current: StoredTenant | undefined,
): SealedSecret | null {
  const binding = {
    baseUrl: settings.clientBaseUrl,
    syncPath: settings.clientSyncPath,
    attachmentPath: settings.clientAttachmentPath,
  };
  if (auth !== undefined) {
    if (auth.method === 'none') return null;
    const secret = auth.method === 'bearer' ? auth.token : auth.password;
    return context.keyring.seal(secret, callbackAdditionalData(tenantId, binding), keyId);
  }
  if (current?.clientAuthSecret == null) return null;
  if (!sameCallback(current, settings)) {
    throw new MailProxyError(
      'secret_required',
      `The stored callback credentials of tenant "${tenantId}" are bound to its URL: send client_auth again to change it.`,
      { issues: [{ path: 'client_auth', message: 'Send the credentials again.' }] },
    );
  }
  return current.clientAuthSecret;
}

import { createHash } from 'node:crypto';
import type { TlsMode } from '../core/types.js';

/** What an SMTP password may be used for: the server it is sent to and how that server is verified. */
export interface PasswordBinding {
  host: string;
  port: number;
  tls: TlsMode;
  user: string | null;
  tlsVerify: boolean;
  tlsCa: string | null;
}

/** What callback credentials may be used for: the endpoint that they are sent to. */
export interface CallbackBinding {
  baseUrl: string | null;
  syncPath: string;
  attachmentPath: string;
}

/**
 * Additional data of an account's SMTP password. The format is fixed: values in existing databases open with
 * nothing else.
 */
export function passwordAdditionalData(tenantId: string, accountId: string, to: PasswordBinding): string {
  const caHash = to.tlsCa === null ? '' : createHash('sha256').update(to.tlsCa, 'utf8').digest('hex');
  return JSON.stringify([
    'mp1',
    'accounts',
    tenantId,
    accountId,
    'password',
    to.host.toLowerCase(),
    to.port,
    to.tls,
    to.user ?? '',
    to.tlsVerify,
    caHash,
  ]);
}

/** Additional data of a tenant's callback credential (bearer token or basic password). Fixed, like the above. */
export function callbackAdditionalData(tenantId: string, to: CallbackBinding): string {
  return JSON.stringify([
    'mp1',
    'tenants',
    tenantId,
    tenantId,
    'client_auth_secret',
    to.baseUrl ?? '',
    to.syncPath,
    to.attachmentPath,
  ]);
}

/** Additional data of a tenant's webhook signing secret, which is not sent anywhere and so bound to its row only. */
export function webhookSecretAdditionalData(tenantId: string): string {
  return JSON.stringify(['mp1', 'tenants', tenantId, tenantId, 'webhook_secret']);
}

/** Additional data of the key of an audit chain. Fixed, like the above. */
export function auditKeyAdditionalData(chain: number): string {
  return JSON.stringify(['mp1', 'audit_keys', '', String(chain), 'value']);
}

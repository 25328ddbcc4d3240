import { formatIso, formatTs } from './time.js';
import type { Account, Message, Tenant } from './types.js';

/** An account as the HTTP contract and `--json` show it: no password, not even encrypted. */
export function accountToWire(account: Account) {
  return {
    id: account.id,
    tenant_id: account.tenantId,
    host: account.host,
    port: account.port,
    tls: account.tls,
    tls_verify: account.tlsVerify,
    tls_ca: account.tlsCa,
    user: account.user,
    has_password: account.hasPassword,
    limit_per_minute: account.limitMinute,
    limit_per_hour: account.limitHour,
    limit_per_day: account.limitDay,
    limit_behavior: account.limitBehavior,
    max_connections: account.maxConnections,
    from_address: account.fromAddress,
    is_default: account.isDefault,
    created_at: formatIso(account.createdAt),
    updated_at: formatIso(account.updatedAt),
  };
}

/** A tenant as the HTTP contract and `--json` show it: no secret and no hash. */
export function tenantToWire(tenant: Tenant) {
  return {
    id: tenant.id,
    name: tenant.name,
    active: tenant.active,
    client_base_url: tenant.clientBaseUrl,
    client_sync_path: tenant.clientSyncPath,
    client_attachment_path: tenant.clientAttachmentPath,
    client_auth: {
      method: tenant.clientAuthMethod,
      ...(tenant.clientAuthUser === null ? {} : { user: tenant.clientAuthUser }),
    },
    has_webhook_secret: tenant.hasWebhookSecret,
    rate_limits: { hourly: tenant.limitHourly, daily: tenant.limitDaily },
    on_uncertain: tenant.onUncertain,
    use_global_sync: tenant.useGlobalSync,
    attachment_roots: tenant.attachmentRoots,
    created_at: formatIso(tenant.createdAt),
    updated_at: formatIso(tenant.updatedAt),
  };
}

const ts = (at: number | null): number | null => (at === null ? null : formatTs(at));

/** A message as the HTTP contract and `--json` show it. */
export function messageToWire(message: Message) {
  return {
    pk: message.pk,
    id: message.id,
    tenant_id: message.tenantId,
    account_id: message.accountId,
    status: message.status,
    priority: message.priority,
    batch_code: message.batchCode,
    subject: message.subject,
    created_at: formatIso(message.createdAt),
    deferred_ts: ts(message.deferredAt),
    sent_ts: ts(message.sentAt),
    error_ts: ts(message.errorAt),
    error: message.error,
    retry_count: message.retryCount,
    next_attempt_ts: ts(message.nextAttemptAt),
    expires_ts: ts(message.expiresAt),
    recipients: message.recipients.map((recipient) => ({
      address: recipient.address,
      status: recipient.state,
      code: recipient.code,
      reply: recipient.reply,
      ts: ts(recipient.at),
    })),
  };
}

/** Account as on the wire. */
export type AccountWire = ReturnType<typeof accountToWire>;
/** Tenant as on the wire. */
export type TenantWire = ReturnType<typeof tenantToWire>;
/** Message as on the wire. */
export type MessageWire = ReturnType<typeof messageToWire>;

import { type AuditRecord, auditDetail } from './audit.js';
import type { Explanation, Hold } from './hold.js';
import { formatIso, formatTs } from './time.js';
import type { Account, Message, MessageEventType, Tenant } from './types.js';

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

/**
 * What of a tenant is suspended, as the HTTP contract and `--json` show it.
 *
 * @param pending - Unsent messages of the batch that was named, or else of the tenant.
 */
export function suspensionToWire(
  tenantId: string,
  batchCode: string | undefined,
  { wholeTenant, batches }: { wholeTenant: boolean; batches: readonly string[] },
  pending: number,
) {
  return {
    tenant_id: tenantId,
    batch_code: batchCode ?? null,
    // As existing clients know it: a star is everything.
    suspended_batches: [...(wholeTenant ? ['*'] : []), ...batches],
    tenant_suspended: wholeTenant,
    pending_messages: pending,
  };
}

/** What holds a message as the HTTP contract and `--json` show it; null when it is final. */
export function holdToWire({ gate, until, reason, behind, gates }: Explanation) {
  if (gate === 'final') return null;
  // The second in which it is over, not the one in which it still holds.
  const after = (at: number | null): number | null => (at === null ? null : Math.ceil(at / 1000));
  const wire = (hold: Hold) => ({ gate: hold.gate, until_ts: after(hold.until), reason: hold.reason });
  return { ...wire({ gate, until, reason }), behind, gates: gates.map(wire) };
}

/** Something that happened to a message, as the HTTP contract and `--json` show it. */
export function eventToWire({
  type,
  at,
  data,
}: {
  type: MessageEventType;
  at: number;
  data: Record<string, unknown>;
}) {
  return { event_type: type, event_ts: formatTs(at), event_data: data };
}

/** A tenant's token as the HTTP contract and `--json` show it: neither the token nor its hash. */
export function tokenToWire(token: {
  name: string;
  createdAt: number;
  expiresAt: number | null;
  lastUsedAt: number | null;
}) {
  const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());
  return {
    name: token.name,
    created_at: iso(token.createdAt),
    expires_at: iso(token.expiresAt),
    last_used_at: iso(token.lastUsedAt),
  };
}

/** An audit record as the HTTP contract, exports and `--json` show it. */
export function auditToWire(record: AuditRecord) {
  return {
    seq: record.seq,
    chain: record.chain,
    created_at: isoTime(record.at),
    event: record.event,
    actor: record.actor,
    address: record.address,
    tenant_id: record.tenantId,
    subject: record.subject,
    detail: auditDetail(record),
    hash: record.hash,
  };
}

/** A time that was edited by hand may be none: it is shown as it stands. */
function isoTime(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? String(at) : date.toISOString();
}

/** Suspensions as on the wire. */
export type SuspensionWire = ReturnType<typeof suspensionToWire>;
/** Token as on the wire. */
export type TokenWire = ReturnType<typeof tokenToWire>;
/** Audit record as on the wire. */
export type AuditWire = ReturnType<typeof auditToWire>;
/** Account as on the wire. */
export type AccountWire = ReturnType<typeof accountToWire>;
/** Tenant as on the wire. */
export type TenantWire = ReturnType<typeof tenantToWire>;
/** What holds a message as on the wire. */
export type HoldWire = ReturnType<typeof holdToWire>;
/** Event of a message as on the wire. */
export type EventWire = ReturnType<typeof eventToWire>;
/** Message as on the wire. */
export type MessageWire = ReturnType<typeof messageToWire>;

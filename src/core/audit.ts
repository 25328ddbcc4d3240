import type { Actor, Millis } from './types.js';

/** What can be written to the audit trail. Names are stable: filters and alerts use them. */
export const AUDIT_EVENT_NAMES = [
  'audit.started',
  'audit.archived',
  'auth.failed',
  'auth.failed.summary',
  'auth.succeeded.summary',
  'admin_token.changed',
  'tenant.created',
  'tenant.updated',
  'tenant.deleted',
  'account.created',
  'account.updated',
  'account.deleted',
  'account.held',
  'sending.suspended',
  'sending.activated',
  'messages.deleted',
  'message.resolved',
  'token.created',
  'token.changed',
  'token.revoked',
  'key.added',
  'key.primary',
  'key.retired',
  'secrets.reencrypted',
  'config.changed',
  'backup.created',
  'backup.restored',
] as const;

/** Name of an event of the audit trail. */
export type AuditEventName = (typeof AUDIT_EVENT_NAMES)[number];

/** One event as it is written, before it has a place in the chain. Nothing in it is secret. */
export interface AuditEvent {
  event: AuditEventName;
  actor: Actor;
  tenantId: string | null;
  /** What it happened to: an account's id, a token's name, a key's id. */
  subject: string | null;
  /** Particulars by name, such as the fields that changed; never their secret values. */
  detail: Readonly<Record<string, unknown>>;
}

/** One event of the trail. */
export interface AuditRecord {
  seq: number;
  /** Which chain it belongs to: a lost audit key begins a new one. */
  chain: number;
  at: Millis;
  event: AuditEventName;
  /** Who, as text: `os:alice`, `admin`, `tenant:acme/default`, `daemon`. */
  actor: string;
  address: string | null;
  tenantId: string | null;
  subject: string | null;
  /** JSON. */
  detail: string;
  /** HMAC over this record and the hash before it. */
  hash: string;
}

/** Names an actor as the trail does. */
export function actorName(actor: Actor): string {
  switch (actor.kind) {
    case 'os-user':
      return `os:${actor.name}`;
    case 'admin-token':
      return 'admin';
    case 'tenant-token':
      return `tenant:${actor.tenantId}/${actor.tokenName}`;
    case 'anonymous':
      return 'anonymous';
    case 'daemon':
      return 'daemon';
  }
}

/** The network address of an actor; null where there is none. */
export function actorAddress(actor: Actor): string | null {
  return 'address' in actor && actor.address !== '' ? actor.address : null;
}

/** The particulars of a record. One that was edited by hand may hold anything: it must still be listed and exported. */
export function auditDetail({ detail }: Pick<AuditRecord, 'detail'>): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(detail);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below.
  }
  return { unreadable: detail };
}

/** The event as the log tells it, in the manner of `Account 'smtp1' created for tenant 'acme'`. */
export function auditSentence(
  record: Pick<AuditRecord, 'event' | 'tenantId' | 'subject' | 'detail'>,
): string {
  const { event, tenantId, subject } = record;
  const { count } = auditDetail(record);
  const forTenant = tenantId === null ? '' : ` for tenant '${tenantId}'`;
  switch (event) {
    case 'auth.failed':
      return 'API auth failed: invalid token';
    case 'auth.failed.summary':
      return `API auth failed ${count} more time(s): invalid token`;
    case 'auth.succeeded.summary':
      return tenantId === null
        ? `API auth successful for the admin (${count} time(s) within a minute)`
        : `API auth successful for tenant '${tenantId}' (${count} time(s) within a minute)`;
    case 'tenant.created':
    case 'tenant.updated':
    case 'tenant.deleted':
      return `Tenant '${tenantId}' ${event.slice('tenant.'.length)}`;
    case 'account.created':
    case 'account.updated':
    case 'account.deleted':
    case 'account.held':
      return `Account '${subject}' ${event.slice('account.'.length)}${forTenant}`;
    case 'sending.suspended':
    case 'sending.activated': {
      const what = subject === null ? 'Sending' : `Sending of batch '${subject}'`;
      return `${what} ${event.slice('sending.'.length)}${forTenant}`;
    }
    case 'messages.deleted':
      return `${count} message(s) deleted${forTenant}`;
    case 'message.resolved':
      return `Uncertain message '${subject}' resolved${forTenant}`;
    case 'token.created':
    case 'token.changed':
    case 'token.revoked':
      return `Token '${subject}' ${event.slice('token.'.length)}${forTenant}`;
    case 'admin_token.changed':
      return 'Admin token changed';
    case 'key.added':
    case 'key.primary':
    case 'key.retired':
      return `Encryption key ${subject} ${event === 'key.primary' ? 'is used for new secrets' : event.slice('key.'.length)}`;
    case 'secrets.reencrypted':
      return `${count} secret(s) encrypted anew under key ${subject}`;
    case 'config.changed':
      return `Setting '${subject}' changed`;
    case 'backup.created':
      return `Backup '${subject}' made`;
    case 'backup.restored':
      return `Backup '${subject}' restored`;
    case 'audit.started':
      return 'A new audit chain begins';
    case 'audit.archived':
      return `${count} audit record(s) archived`;
    default:
      // Not one of ours: the row was written by hand.
      return `Unknown audit event '${String(event)}'`;
  }
}

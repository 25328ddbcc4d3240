import { formatTs } from './time.js';
import type { MessageEventType, Millis } from './types.js';

/** What tenants are told about a message. */
export type ReportType = Extract<MessageEventType, 'sent' | 'error' | 'deferred'>;

/** A report that waits to be acknowledged. */
export interface Report {
  /** Grows with every report: their order. */
  seq: number;
  messagePk: number;
  /** The message's own id. */
  id: string;
  type: ReportType;
  at: Millis;
  reason: string | null;
  /** How often the endpoint could not take it. */
  attempts: number;
}

/** Whether tenants are told of such an event. */
export function isReported(type: MessageEventType): type is ReportType {
  return type === 'sent' || type === 'error' || type === 'deferred';
}

/** A report as it is sent: only the fields of its event, the others absent. */
export function reportToWire(
  tenantId: string,
  { id, messagePk, type, at, reason }: Report,
): Record<string, string | number> {
  const common = { tenant_id: tenantId, id, pk: messagePk };
  const ts = formatTs(at);
  switch (type) {
    case 'sent':
      return { ...common, sent_ts: ts };
    case 'error':
      return { ...common, error_ts: ts, error: reason ?? 'The message could not be sent.' };
    case 'deferred':
      return { ...common, deferred_ts: ts, ...(reason === null ? {} : { deferred_reason: reason }) };
  }
}

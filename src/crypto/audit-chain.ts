import { createHmac } from 'node:crypto';
import type { AuditRecord } from '../core/audit.js';

/** What the first record of a chain follows. */
export const CHAIN_START = '0'.repeat(64);

/**
 * Hash of one record: HMAC-SHA256 over its own fields, each with its length in front so that no two records can be read as
 * one another, and over the hash before it.
 *
 * @returns Lower-case hex.
 */
export function auditHash(key: Buffer, previous: string, record: Omit<AuditRecord, 'hash'>): string {
  return macOf(key, [
    'mail-proxy audit 1',
    previous,
    record.seq,
    record.chain,
    record.at,
    record.event,
    record.actor,
    record.address,
    record.tenantId,
    record.subject,
    record.detail,
  ]);
}

/** Signs what stands in for archived records: the last one's place and hash. */
export function checkpointMac(key: Buffer, chain: number, seq: number, hash: string): string {
  return macOf(key, ['mail-proxy audit checkpoint 1', chain, seq, hash]);
}

function macOf(key: Buffer, fields: ReadonlyArray<string | number | null>): string {
  const mac = createHmac('sha256', key);
  for (const field of fields) {
    const bytes = field === null ? null : Buffer.from(String(field), 'utf8');
    const length = Buffer.alloc(5);
    // A missing value and an empty one are different things.
    length.writeUInt8(bytes === null ? 0 : 1, 0);
    length.writeUInt32BE(bytes?.length ?? 0, 1);
    mac.update(length);
    if (bytes !== null) mac.update(bytes);
  }
  return mac.digest('hex');
}

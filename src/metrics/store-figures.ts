import { PRIORITY_NAMES } from '../core/priority.js';
import type { Millis, Priority } from '../core/types.js';
import { pendingMessages } from '../services/status.js';
import type { Store } from '../store/store.js';
import { type Family, gauge } from './family.js';

/** What the store knows: how much waits and since when, where the audit trail stands, how large the files are. */
export async function storeFamilies(store: Store, now: Millis): Promise<Family[]> {
  const oldest = await store.figures.oldestDue(now);
  const ages = PRIORITY_NAMES.map((priority, i) => ({
    labels: { priority },
    value: Math.max(0, now - (oldest.get(i as Priority) ?? now)) / 1000,
  }));
  const head = await store.audit.head();
  const { database, log } = await store.figures.fileSizes();
  return [
    gauge(
      'gmp_pending_messages',
      'Messages that have no outcome yet.',
      await pendingMessages({ store }, undefined),
    ),
    gauge('gmp_queue_age_seconds', 'How long the oldest message that is due has been unsent.', ages),
    gauge('gmp_audit_head', 'Sequence number of the newest record of the audit trail.', head?.seq ?? 0),
    gauge(
      'gmp_audit_head_info',
      'Hash of the newest record of the audit trail.',
      head === undefined ? [] : [{ labels: { hash: head.hash }, value: 1 }],
    ),
    gauge('gmp_database_bytes', 'Size of the database and of its write-ahead log.', [
      { labels: { file: 'database' }, value: database },
      { labels: { file: 'wal' }, value: log },
    ]),
  ];
}

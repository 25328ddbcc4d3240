import {
  type AuditEvent,
  type AuditEventName,
  type AuditRecord,
  actorAddress,
  actorName,
} from '../core/audit.js';
import { MailProxyError } from '../core/errors.js';
import type { Change, SealedSecret } from '../core/types.js';
import { auditHash, CHAIN_START, checkpointMac } from '../crypto/audit-chain.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** What a list of the trail is narrowed to. */
export interface AuditFilter {
  tenantId?: string;
  event?: AuditEventName;
  actor?: string;
  /** Unix milliseconds, both inclusive. */
  since?: number;
  until?: number;
}

/** Where the chain stands. */
export interface ChainHead {
  chain: number;
  seq: number;
  hash: string;
}

/** Stands in for records that were archived; signed by the chain's key. */
export interface Checkpoint extends ChainHead {
  mac: string;
}

/** Writes events inside the caller's transaction: if one cannot be written, the change does not happen. */
export type AppendAudit = (event: AuditEvent, now: number) => void;

/** The audit trail. */
export interface AuditStore {
  /** Gives the key that the chain is written under; without it nothing that is audited can be changed. */
  unlock(key: Buffer, chain: number): void;
  /** The newest chain and its sealed key; undefined in a new store. */
  newestChain(): Promise<{ chain: number; key: SealedSecret } | undefined>;
  /**
   * Begins a new chain, in one transaction: keeps its sealed key, unlocks it, and writes its first event.
   *
   * @param detail - Why, when it is not the first.
   */
  begin(
    chain: number,
    key: Buffer,
    sealed: SealedSecret,
    by: Change,
    detail: Record<string, unknown>,
    givenUp: readonly number[],
  ): Promise<void>;
  /** Sealed keys of all chains, oldest first. */
  chains(): Promise<Array<{ chain: number; key: SealedSecret }>>;
  /** Whether changes can be made here. */
  readonly unlocked: boolean;
  /** Writes events that belong to no change of the store's, such as failed logins. */
  append(events: readonly AuditEvent[], now: number): Promise<void>;
  /** Newest first. */
  list(filter: AuditFilter, page: { before?: number; limit: number }): Promise<AuditRecord[]>;
  /** In the order of writing, for verification and export. */
  read(after: number, limit: number): Promise<AuditRecord[]>;
  head(): Promise<ChainHead | undefined>;
  checkpoint(): Promise<Checkpoint | undefined>;
  /** Removes records up to `seq`, at most `limit` at once, leaving a signed checkpoint, and records that it was done. */
  archive(upTo: number, event: (count: number) => AuditEvent, now: number): Promise<number>;
}

function recordFromRow(row: Record<string, unknown>): AuditRecord {
  return {
    seq: row.seq as number,
    chain: row.chain as number,
    at: row.at as number,
    event: row.event as AuditEventName,
    actor: row.actor as string,
    address: row.address as string | null,
    tenantId: row.tenant_id as string | null,
    subject: row.subject as string | null,
    detail: row.detail as string,
    hash: row.hash as string,
  };
}

/** The trail over one connection, and the function by which other parts of the store write to it. */
export function createAuditStore(sql: Sql, writer: Writer): { store: AuditStore; append: AppendAudit } {
  let unlocked: { key: Buffer; chain: number } | undefined;

  const readCheckpoint = (): Checkpoint | undefined => {
    const text = sql("SELECT value FROM settings WHERE name = 'audit_checkpoint'").get()?.value as
      | string
      | undefined;
    if (text === undefined) return undefined;
    try {
      const { chain, seq, hash, mac } = JSON.parse(text) as Checkpoint;
      return { chain, seq, hash, mac };
    } catch {
      // Edited by hand: it verifies as little as any other forgery.
      return { chain: 0, seq: 0, hash: '', mac: '' };
    }
  };

  const readHead = (): ChainHead | undefined => {
    const row = sql('SELECT chain, seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1').get();
    return row === undefined ? readCheckpoint() : (row as unknown as ChainHead);
  };

  const chains = (): Array<{ chain: number; key: SealedSecret }> =>
    sql('SELECT chain, value, key_id FROM audit_keys ORDER BY chain')
      .all()
      .map((row) => ({
        chain: row.chain as number,
        key: { value: row.value as string, keyId: row.key_id as string },
      }));

  const requireKey = (): { key: Buffer; chain: number } => {
    if (unlocked !== undefined) return unlocked;
    throw new MailProxyError(
      'key_missing',
      'The encryption key is not available to this command, so that it cannot write the audit trail: set MAIL_PROXY_ENCRYPTION_KEY (or MAIL_PROXY_ENCRYPTION_KEY_FILE) to it, or set GMP_API_TOKEN to go through the running daemon.',
    );
  };

  /** Another process may have begun a new chain a moment ago: nothing is written to one that has ended. */
  const refuseOldChain = (chain: number): void => {
    const newest = sql('SELECT MAX(chain) AS newest FROM audit_keys').get()?.newest as number | null;
    if (newest === null || newest <= chain) return;
    throw new MailProxyError(
      'key_missing',
      `The audit trail goes on in chain ${newest}: try again in a moment.`,
    );
  };

  const append: AppendAudit = (event, now) => {
    const { key, chain } = requireKey();
    refuseOldChain(chain);
    const head = readHead();
    const previous = head === undefined || head.chain !== chain ? CHAIN_START : head.hash;
    const record = {
      seq: (head?.seq ?? 0) + 1,
      chain,
      at: now,
      event: event.event,
      actor: actorName(event.actor),
      address: actorAddress(event.actor),
      tenantId: event.tenantId,
      subject: event.subject,
      detail: JSON.stringify(event.detail),
    };
    sql('INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)').run(
      record.seq,
      record.chain,
      record.at,
      record.event,
      record.actor,
      record.address,
      record.tenantId,
      record.subject,
      record.detail,
      auditHash(key, previous, record),
    );
  };

  const list = (filter: AuditFilter, page: { before?: number; limit: number }): AuditRecord[] => {
    const conditions: string[] = [];
    const values: unknown[] = [];
    const where = (condition: string, value: unknown): void => {
      if (value === undefined) return;
      conditions.push(condition);
      values.push(value);
    };
    where('seq < ?', page.before);
    where('tenant_id = ?', filter.tenantId);
    where('event = ?', filter.event);
    where('actor = ?', filter.actor);
    where('at >= ?', filter.since);
    where('at <= ?', filter.until);
    const clause = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    return sql(`SELECT * FROM audit_events ${clause} ORDER BY seq DESC LIMIT ?`)
      .all(...values, page.limit)
      .map(recordFromRow);
  };

  const store: AuditStore = {
    unlock(key, chain) {
      unlocked = { key, chain };
    },
    async begin(chain, key, sealed, { actor, now }, detail, givenUp) {
      const before = unlocked;
      try {
        await writer.run(() => {
          for (const old of givenUp) sql('UPDATE audit_keys SET given_up = 1 WHERE chain = ?').run(old);
          sql('INSERT INTO audit_keys (chain, value, key_id, created_at) VALUES (?, ?, ?, ?)').run(
            chain,
            sealed.value,
            sealed.keyId,
            now,
          );
          unlocked = { key, chain };
          append({ event: 'audit.started', actor, tenantId: null, subject: String(chain), detail }, now);
        });
      } catch (error) {
        // Nothing may be written under a key that was not stored.
        unlocked = before;
        throw error;
      }
    },
    async newestChain() {
      return chains().at(-1);
    },
    async chains() {
      return chains();
    },
    get unlocked() {
      return unlocked !== undefined;
    },
    append: (events, now) =>
      writer.run(() => {
        for (const event of events) append(event, now);
      }),
    async list(filter, page) {
      return list(filter, page);
    },
    async read(after, limit) {
      return sql('SELECT * FROM audit_events WHERE seq > ? ORDER BY seq LIMIT ?')
        .all(after, limit)
        .map(recordFromRow);
    },
    async head() {
      return readHead();
    },
    async checkpoint() {
      return readCheckpoint();
    },
    archive: (upTo, event, now) =>
      writer.run(() => {
        const { key, chain } = requireKey();
        const last = sql(
          'SELECT chain, seq, hash FROM audit_events WHERE seq <= ? ORDER BY seq DESC LIMIT 1',
        ).get(upTo) as ChainHead | undefined;
        if (last === undefined) return 0;
        if (last.chain !== chain) {
          throw new MailProxyError(
            'usage',
            'Only records of the present chain can be archived up to that place.',
          );
        }
        const { changes } = sql('DELETE FROM audit_events WHERE seq <= ?').run(last.seq);
        const checkpoint: Checkpoint = { ...last, mac: checkpointMac(key, last.chain, last.seq, last.hash) };
        sql(
          "INSERT INTO settings VALUES ('audit_checkpoint', ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        ).run(JSON.stringify(checkpoint));
        append(event(changes), now);
        return changes;
      }),
  };
  return { store, append };
}

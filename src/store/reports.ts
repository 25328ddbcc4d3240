import type { Report } from '../core/report.js';
import type { Millis } from '../core/types.js';
import type { Db } from './database.js';
import { HAS_ENDPOINT } from './endpoint-sql.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** How the calls to a tenant's endpoint stand. */
export interface SyncState {
  /** The last call that was answered well. */
  lastSyncAt: Millis | undefined;
  /** Until then the tenant wants no call that carries no report. */
  quietUntil: Millis | undefined;
}

/** What a call came to. */
export interface SyncResult extends SyncState {
  acknowledged: readonly Report[];
  /** Messages whose reports are sent again, and when. */
  postponed: ReadonlyArray<{ messagePk: number; dueAt: Millis }>;
}

/** Reports that wait to be acknowledged. */
export interface ReportStore {
  /** Has a function called after a report of a tenant was queued through this connection, once it is on disk. */
  onQueued(listener: (tenantId: string) => void): void;
  /** For the reporter: active tenants that have an endpoint. */
  listAllToCall(): Promise<Array<{ id: string; updatedAt: Millis }>>;
  /** For the reporter: those of them that have something to be told. */
  listAllToTell(): Promise<string[]>;
  /** When the tenant's next report may be sent; 0 is now, undefined that there is none. */
  nextDueAt(scope: TenantScope): Promise<Millis | undefined>;
  /** Reports that may be sent by a moment, those of each message in order. */
  due(scope: TenantScope, by: Millis, limit: number): Promise<Report[]>;
  syncState(scope: TenantScope): Promise<SyncState>;
  /** Writes down what a call came to, in short transactions. Messages that have nothing more to report begin their retention. */
  settle(scope: TenantScope, result: SyncResult, now: Millis): Promise<void>;
}

/** So many are taken away in one transaction. */
const ACKNOWLEDGED_A_STEP = 100;

const orUndefined = (value: unknown): Millis | undefined => (value ?? undefined) as Millis | undefined;

/** Reports over one connection. */
export function createReportStore(db: Db, sql: Sql, writer: Writer): ReportStore {
  const acknowledge = (tenantId: string, reports: readonly Report[], now: Millis): void => {
    for (const { seq } of reports) {
      sql('DELETE FROM reports WHERE seq = ? AND tenant_id = ?').run(seq, tenantId);
    }
    for (const pk of new Set(reports.map(({ messagePk }) => messagePk))) {
      sql(
        `UPDATE messages SET reported_at = @now, cleanup_at = @now WHERE pk = @pk AND tenant_id = @tenantId
           AND state IN ('sent', 'error') AND NOT EXISTS (SELECT 1 FROM reports WHERE message_pk = @pk)`,
      ).run({ now, pk, tenantId });
    }
  };

  return {
    onQueued(listener) {
      const queued = new Set<string>();
      // A transaction is one turn of the event loop: what is said in the next one is on disk, or was undone and harms nobody.
      const tell = (): void => {
        const told = [...queued];
        queued.clear();
        for (const tenantId of told) listener(tenantId);
      };
      db.function('report_queued', (tenantId) => {
        if (queued.size === 0) setImmediate(tell);
        queued.add(tenantId as string);
        return null;
      });
      db.exec(`CREATE TEMP TRIGGER IF NOT EXISTS reports_told AFTER INSERT ON main.reports BEGIN
        SELECT report_queued(NEW.tenant_id);
      END`);
    },
    async listAllToCall() {
      return sql(
        `SELECT id, updated_at AS updatedAt FROM tenants WHERE active = 1 AND ${HAS_ENDPOINT} ORDER BY id`,
      ).all() as unknown as Array<{ id: string; updatedAt: Millis }>;
    },
    async listAllToTell() {
      return sql(
        `SELECT id FROM tenants WHERE active = 1 AND ${HAS_ENDPOINT}
           AND EXISTS (SELECT 1 FROM reports WHERE reports.tenant_id = tenants.id) ORDER BY id`,
      )
        .all()
        .map(({ id }) => id as string);
    },
    async nextDueAt({ tenantId }) {
      return orUndefined(sql('SELECT MIN(due_at) AS at FROM reports WHERE tenant_id = ?').get(tenantId)?.at);
    },
    async due({ tenantId }, by, limit) {
      return sql(
        `SELECT seq, message_pk AS messagePk, id, type, at, reason, attempts
           FROM reports JOIN messages ON messages.pk = message_pk
           WHERE reports.tenant_id = ? AND reports.due_at <= ? ORDER BY reports.due_at, seq LIMIT ?`,
      ).all(tenantId, by, limit) as unknown as Report[];
    },
    async syncState({ tenantId }) {
      const row = sql('SELECT last_sync_at, quiet_until FROM sync_states WHERE tenant_id = ?').get(tenantId);
      return { lastSyncAt: orUndefined(row?.last_sync_at), quietUntil: orUndefined(row?.quiet_until) };
    },
    async settle({ tenantId }, { acknowledged, postponed, lastSyncAt, quietUntil }, now) {
      for (let from = 0; from < acknowledged.length; from += ACKNOWLEDGED_A_STEP) {
        const step = acknowledged.slice(from, from + ACKNOWLEDGED_A_STEP);
        await writer.run(() => acknowledge(tenantId, step, now));
      }
      await writer.run(() => {
        for (const { messagePk, dueAt } of postponed) {
          sql(
            'UPDATE reports SET due_at = ?, attempts = attempts + 1 WHERE message_pk = ? AND tenant_id = ?',
          ).run(dueAt, messagePk, tenantId);
        }
        // The tenant may have been deleted while it was called.
        sql(
          `INSERT INTO sync_states SELECT id, ?, ? FROM tenants WHERE id = ?
             ON CONFLICT DO UPDATE SET last_sync_at = excluded.last_sync_at, quiet_until = excluded.quiet_until`,
        ).run(lastSyncAt ?? null, quietUntil ?? null, tenantId);
      });
    },
  };
}

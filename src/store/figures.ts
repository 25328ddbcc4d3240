import { statSync } from 'node:fs';
import type { Millis, Priority } from '../core/types.js';
import type { Sql } from './statements.js';
import { tenantIsSuspended } from './suspended-sql.js';

/** An account as people know it. */
export interface AccountName {
  tenantId: string;
  accountId: string;
}

/** What is read for those who watch a server: from indexes and kept counts, whatever the length of the queue. */
export interface FigureStore {
  /** Since when the oldest message of each priority is due and unsent; what is stopped on purpose is left out. */
  oldestDue(now: Millis): Promise<Map<Priority, Millis>>;
  /** Names of those of these accounts that are there. */
  accountNames(pks: readonly number[]): Promise<Map<number, AccountName>>;
  /** Bytes of the database and of its write-ahead log. */
  fileSizes(): Promise<{ database: number; log: number }>;
}

/** Lanes looked at between two turns of the event loop. */
const LANES_A_STEP = 500;
/** Waiting messages whose time has come are made ready at once while messages are sent: more are seldom there. */
const OVERDUE_LOOKED_AT = 500;

/** The oldest ready message of each priority of some lanes: one search of the claims' own index for each. */
export const OLDEST_READY = `SELECT p.value AS priority, MIN((SELECT MIN(due_at) FROM messages
    WHERE account_pk = lane.value AND priority = p.value AND state = 'ready')) AS due_at
  FROM json_each(?) AS lane, json_each('[0,1,2,3]') AS p GROUP BY p.value`;
/** What is on its way: never more than there is room for in flight. */
export const OLDEST_SENDING = `SELECT priority, MIN(due_at) AS due_at FROM messages INDEXED BY messages_sending
  WHERE state = 'sending' GROUP BY priority`;
/** What is due and not yet ready. */
export const OLDEST_WAITING = `SELECT priority, due_at FROM messages
  WHERE state = 'waiting' AND due_at <= ? ORDER BY due_at LIMIT ${OVERDUE_LOOKED_AT}`;
/** Lanes that have messages ready and whose tenant is served. */
export const LANES_SERVED = `SELECT account_pk FROM message_counts JOIN tenants ON tenants.id = tenant_id
  WHERE state = 'ready' AND n > 0 AND active = 1 AND NOT ${tenantIsSuspended('tenants.id')}`;

/** Figures over one connection. */
export function createFigureStore(sql: Sql, path: string): FigureStore {
  const sizeOf = (file: string): number => statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  return {
    async oldestDue(now) {
      const oldest = new Map<Priority, Millis>();
      const take = (rows: Array<Record<string, unknown>>): void => {
        for (const row of rows) {
          const priority = row.priority as Priority;
          const dueAt = row.due_at as Millis | null;
          if (dueAt !== null && dueAt < (oldest.get(priority) ?? now)) oldest.set(priority, dueAt);
        }
      };
      take(sql(OLDEST_SENDING).all());
      take(sql(OLDEST_WAITING).all(now));
      const lanes = sql(LANES_SERVED)
        .all()
        .map(({ account_pk }) => account_pk);
      for (let i = 0; i < lanes.length; i += LANES_A_STEP) {
        if (i > 0) await new Promise((resolve) => setImmediate(resolve));
        take(sql(OLDEST_READY).all(JSON.stringify(lanes.slice(i, i + LANES_A_STEP))));
      }
      return oldest;
    },
    async accountNames(pks) {
      const rows = sql(
        'SELECT pk, tenant_id, accounts.id AS id FROM json_each(?) AS wanted JOIN accounts ON pk = wanted.value',
      ).all(JSON.stringify(pks));
      return new Map(
        rows.map((row) => [
          row.pk as number,
          { tenantId: row.tenant_id as string, accountId: row.id as string },
        ]),
      );
    },
    async fileSizes() {
      return { database: sizeOf(path), log: sizeOf(`${path}-wal`) };
    },
  };
}

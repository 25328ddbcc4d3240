import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** Why a lane stands still, as the daemon that works on it knows. */
export interface LaneState {
  /** Failures in a row to use the account; 0 when it works. */
  failures: number;
  /** When it is tried again, Unix milliseconds; 0 when it works. */
  openUntil: number;
  reason: string | null;
  /** Why its password does not open; null when it does. */
  held: string | null;
}

/** What a daemon publishes of its lanes. */
export interface LaneStateStore {
  /** Publishes the state of one account's lane; an account that is gone has none. */
  note(accountPk: number, state: LaneState): Promise<void>;
  /** Forgets what an earlier daemon published. */
  clear(): Promise<void>;
}

/** Lane states over one connection. */
export function createLaneStateStore(sql: Sql, writer: Writer): LaneStateStore {
  return {
    note: (accountPk, { failures, openUntil, reason, held }) =>
      writer.run(() => {
        if (failures === 0 && held === null) {
          sql('DELETE FROM lane_states WHERE account_pk = ?').run(accountPk);
          return;
        }
        sql(
          `INSERT INTO lane_states SELECT pk, ?, ?, ?, ? FROM accounts WHERE pk = ?
             ON CONFLICT DO UPDATE SET failures = excluded.failures, open_until = excluded.open_until,
               reason = excluded.reason, held = excluded.held`,
        ).run(failures, openUntil, reason, held, accountPk);
      }),
    clear: () => writer.run(() => void sql('DELETE FROM lane_states').run()),
  };
}

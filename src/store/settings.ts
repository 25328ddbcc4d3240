import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** Names of the settings that the store keeps for a server. */
export type SettingName = 'admin_token_hash' | 'primary_key_id' | 'host' | 'port';

/** Settings of the server itself: no tenant owns them. */
export interface SettingsStore {
  get(name: SettingName): Promise<string | undefined>;
  /** Sets or, with undefined, removes. */
  set(name: SettingName, value: string | undefined): Promise<void>;
  /** The configuration's generation: it grows with every change of settings, keys, tenants, tokens or accounts. */
  generation(): Promise<number>;
  /** Records that a key was used as primary, and makes it the one that writes use. */
  recordPrimaryKey(id: string, source: string, now: number): Promise<void>;
  /** Ids of all keys ever used as primary and not retired, newest first. */
  keyIds(): Promise<string[]>;
  /** How many stored secrets each key id opens. */
  secretsByKey(): Promise<Map<string, number>>;
}

/** Settings over one connection. */
export function createSettingsStore(sql: Sql, writer: Writer): SettingsStore {
  const set = (name: SettingName, value: string | undefined): void => {
    if (value === undefined) sql('DELETE FROM settings WHERE name = ?').run(name);
    else {
      sql('INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value').run(
        name,
        value,
      );
    }
  };
  return {
    async get(name) {
      return sql('SELECT value FROM settings WHERE name = ?').get(name)?.value as string | undefined;
    },
    set: (name, value) => writer.run(() => set(name, value)),
    async generation() {
      return sql('SELECT value FROM generation').get()?.value as number;
    },
    recordPrimaryKey: (id, source, now) =>
      writer.run(() => {
        sql(
          `INSERT INTO keys (id, source, first_used_at) VALUES (?, ?, ?)
             ON CONFLICT DO UPDATE SET source = excluded.source, first_used_at = excluded.first_used_at, retired_at = NULL`,
        ).run(id, source, now);
        set('primary_key_id', id);
      }),
    async keyIds() {
      return sql('SELECT id FROM keys WHERE retired_at IS NULL ORDER BY first_used_at DESC, id')
        .all()
        .map((row) => row.id as string);
    },
    async secretsByKey() {
      const rows = sql(
        `SELECT key_id, COUNT(*) AS n FROM (
           SELECT password_key_id AS key_id FROM accounts WHERE password IS NOT NULL
           UNION ALL SELECT client_auth_key_id FROM tenants WHERE client_auth_secret IS NOT NULL
           UNION ALL SELECT webhook_secret_key_id FROM tenants WHERE webhook_secret IS NOT NULL
         ) GROUP BY key_id`,
      ).all();
      return new Map(rows.map((row) => [row.key_id as string, row.n as number]));
    },
  };
}

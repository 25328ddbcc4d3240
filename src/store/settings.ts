import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** Settings whose change is a security event. */
export type SettingName = 'admin_token_hash' | 'host' | 'port';

/** What processes tell one another through the store; not settings, and not audited. */
export type FactName =
  /** Ids of the keys that the running daemon holds, as JSON. */
  | 'daemon_key_ids'
  /** Where the running daemon's admin token came from: `environment` or `stored`. */
  | 'admin_token_source'
  /** Whether the running daemon drains the queue: `true` or `false`. */
  | 'scheduler_active'
  /** Whether the running daemon has a global endpoint for reports: `true` or `false`. */
  | 'global_sync';

/** Settings of the server itself: no tenant owns them. */
export interface SettingsStore {
  get(name: SettingName | FactName): Promise<string | undefined>;
  set(name: SettingName, value: string, by: Change): Promise<void>;
  /** Leaves a fact for other processes. */
  tell(name: FactName, value: string): Promise<void>;
  /** The configuration's generation: it grows with every change of settings, keys, tenants, tokens or accounts. */
  generation(): Promise<number>;
}

/** Settings over one connection. */
export function createSettingsStore(sql: Sql, writer: Writer, append: AppendAudit): SettingsStore {
  const write = (name: string, value: string): void => {
    sql('INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value').run(
      name,
      value,
    );
  };
  const isToken = (name: SettingName): boolean => name === 'admin_token_hash';
  return {
    async get(name) {
      return sql('SELECT value FROM settings WHERE name = ?').get(name)?.value as string | undefined;
    },
    set: (name, value, { actor, now }) =>
      writer.run(() => {
        write(name, value);
        append(
          {
            event: isToken(name) ? 'admin_token.changed' : 'config.changed',
            actor,
            tenantId: null,
            subject: isToken(name) ? null : name,
            detail: isToken(name) ? {} : { value },
          },
          now,
        );
      }),
    tell: (name, value) => writer.run(() => write(name, value)),
    async generation() {
      return sql('SELECT value FROM generation').get()?.value as number;
    },
  };
}

import type { Sql } from './statements.js';

/** The key that secrets are sealed under, read inside the transaction that stores them: a rotation never overtakes it. */
export function primaryKeyId(sql: Sql): string | undefined {
  return sql("SELECT value FROM settings WHERE name = 'primary_key_id'").get()?.value as string | undefined;
}

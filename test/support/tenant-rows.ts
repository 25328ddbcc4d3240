import Database from 'better-sqlite3';

/** Rows of every table of a database by table: those that are a tenant's, and those of nobody. */
export interface StoreRows {
  byTenant: Record<string, Record<string, unknown[]>>;
  shared: Record<string, unknown[]>;
}

/** Written on every request or change, whoever makes it. */
const NOT_COMPARED = new Set(['audit_events', 'generation']);

/** Reads a whole database as another process would; a table that a later schema adds is read too. */
export function readAllRows(raw: Database.Database): StoreRows {
  const tables = raw
    .prepare<[], { name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .all();
  const owners = new Map(
    raw
      .prepare<[], { pk: number; tenant_id: string }>('SELECT pk, tenant_id FROM messages')
      .all()
      .map(({ pk, tenant_id }) => [pk, tenant_id]),
  );
  const rows: StoreRows = { byTenant: {}, shared: {} };
  for (const { name } of tables) {
    if (NOT_COMPARED.has(name)) continue;
    for (const row of raw.prepare<[], Record<string, unknown>>(`SELECT * FROM "${name}"`).all()) {
      const owner =
        name === 'tenants' ? row.id : (row.tenant_id ?? owners.get(Number(row.message_pk ?? Number.NaN)));
      let of = rows.shared;
      if (typeof owner === 'string') {
        rows.byTenant[owner] ??= {};
        of = rows.byTenant[owner];
      }
      of[name] ??= [];
      of[name].push(row);
    }
  }
  return rows;
}

/** Opens a second connection to the database of a test. */
export const openRaw = (path: string): Database.Database => new Database(path, { timeout: 1000 });

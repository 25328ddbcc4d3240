import type { Sql } from './statements.js';

/** Whether sending is stopped for an unsent message: its tenant is inactive or suspended, or its batch is suspended. */
export type IsStopped = (row: Record<string, unknown>) => boolean;

/** What is stopped at one moment; `nothing` and `everything` spare looking at each message. */
export interface Stopped {
  isStopped: IsStopped;
  nothing: boolean;
  everything: boolean;
  /** Whether messages of a batch that was activated may still be parked. */
  freeing: boolean;
}

/** Reads what is stopped, for one tenant or with `tenantId` undefined for all. */
export function readStopped(sql: Sql, tenantId: string | undefined): Stopped {
  const tenants = new Set<string>();
  const batches = new Map<string, Set<string>>();
  const inactive =
    tenantId === undefined
      ? sql('SELECT id FROM tenants WHERE active = 0').all()
      : sql('SELECT id FROM tenants WHERE id = ? AND active = 0').all(tenantId);
  for (const { id } of inactive) tenants.add(id as string);
  const suspensions = 'SELECT tenant_id, batch_code, released_at FROM suspensions';
  const rows =
    tenantId === undefined ? sql(suspensions).all() : sql(`${suspensions} WHERE tenant_id = ?`).all(tenantId);
  for (const row of rows) {
    const [tenant, code] = [row.tenant_id as string, row.batch_code as string];
    if (row.released_at !== null) continue;
    if (code === '') tenants.add(tenant);
    else batches.set(tenant, (batches.get(tenant) ?? new Set()).add(code));
  }
  return {
    isStopped: ({ tenant_id, batch_code }) =>
      tenants.has(tenant_id as string) ||
      (batch_code !== null && batches.get(tenant_id as string)?.has(batch_code as string) === true),
    nothing: tenants.size === 0 && batches.size === 0,
    everything: tenantId !== undefined && tenants.has(tenantId),
    freeing: rows.some((row) => row.released_at !== null),
  };
}

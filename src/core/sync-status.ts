import { freshMemory, nextCallAt } from './sync-plan.js';
import { formatTs } from './time.js';
import type { Millis, Tenant } from './types.js';

/** How the calls to a tenant stand. */
export interface SyncStatus {
  tenant: Tenant;
  lastSyncAt: Millis | undefined;
  isDue: boolean;
  isQuiet: boolean;
}

/** Judges by what is stored: whether a tenant is to be called now, and whether it wants to be left alone. */
export function syncStatusOf(
  tenant: Tenant,
  stored: { lastSyncAt: Millis | undefined; quietUntil: Millis | undefined },
  now: Millis,
): SyncStatus {
  const hasEndpoint = tenant.clientBaseUrl !== null || tenant.useGlobalSync;
  return {
    tenant,
    lastSyncAt: stored.lastSyncAt,
    isDue: tenant.active && hasEndpoint && nextCallAt(freshMemory(stored), undefined) <= now,
    isQuiet: stored.quietUntil !== undefined && stored.quietUntil > now,
  };
}

/** The same on the wire. */
export function syncStatusToWire({ tenant, lastSyncAt, isDue, isQuiet }: SyncStatus) {
  return {
    id: tenant.id,
    name: tenant.name,
    active: tenant.active,
    client_base_url: tenant.clientBaseUrl,
    last_sync_ts: lastSyncAt === undefined ? null : formatTs(lastSyncAt),
    next_sync_due: isDue,
    in_dnd: isQuiet,
  };
}

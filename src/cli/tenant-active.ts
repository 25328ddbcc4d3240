import type { ServerReference } from './servers.js';
import { withKey } from './with-server.js';

/** Lets a tenant act and send, or not; here or through the daemon. @throws MailProxyError `tenant_not_found`. */
export async function setTenantActive(
  server: ServerReference,
  tenantId: string,
  active: boolean,
): Promise<void> {
  await withKey(
    server,
    async (context) => {
      const { putTenant } = await import('../services/put-tenant.js');
      await putTenant(context, tenantId, { active }, {}, 'update');
    },
    async (client) => {
      const { updateTenantThrough } = await import('./tenant-through-daemon.js');
      await updateTenantThrough(client, tenantId, { tenant_id: tenantId, active });
    },
  );
}

import { string } from '@oclif/core/args';
import { ServerCommand } from '../../cli/base-command.js';
import { printRecord } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { type TenantWire, tenantToWire } from '../../core/wire.js';

/** Shows one tenant, never its secrets. */
export default class TenantsShow extends ServerCommand {
  static override summary = 'Show a tenant.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants show acme'];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };

  override async run(): Promise<{ ok: true } & TenantWire> {
    const { args, flags } = await this.parse(TenantsShow);
    const server = await this.requireServer(flags.server);
    const tenant = await withServer(server, async (context) => {
      const { getTenant } = await import('../../services/tenants.js');
      return tenantToWire(await getTenant(context, args.id));
    });
    if (!this.jsonEnabled()) printRecord(tenant);
    return { ok: true, ...tenant };
  }
}

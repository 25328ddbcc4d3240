import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { type Column, formatTime, printCsv, printTable } from '../../cli/output.js';
import { readAll } from '../../cli/paging.js';
import { withServer } from '../../cli/with-server.js';
import { type TenantWire, tenantToWire } from '../../core/wire.js';

const COLUMNS: Column<TenantWire>[] = [
  { header: 'ID', value: (tenant) => tenant.id },
  { header: 'NAME', value: (tenant) => tenant.name },
  { header: 'ACTIVE', value: (tenant) => (tenant.active ? 'yes' : 'no') },
  { header: 'ENDPOINT', value: (tenant) => tenant.client_base_url },
  { header: 'CREATED', value: (tenant) => formatTime(Date.parse(tenant.created_at)) },
];

/** Lists the tenants of a server. */
export default class TenantsList extends ServerCommand {
  static override summary = 'List the tenants of a server.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants list'];
  static override flags = {
    active: boolean({ summary: 'Only those that are active.' }),
    csv: boolean({ summary: 'Print comma-separated values.', exclusive: ['json'] }),
  };

  override async run(): Promise<{ ok: true; tenants: TenantWire[] }> {
    const { flags } = await this.parse(TenantsList);
    const server = await this.requireServer(flags.server);
    const tenants = await withServer(server, async (context) => {
      const { listTenants } = await import('../../services/tenants.js');
      return (
        await readAll((page) => listTenants(context, { ...page, activeOnly: flags.active === true }))
      ).map(tenantToWire);
    });
    if (flags.csv) printCsv(tenants, COLUMNS);
    else if (!this.jsonEnabled() && tenants.length > 0) printTable(tenants, COLUMNS);
    else if (!this.jsonEnabled()) this.note('There is no tenant: add one with "tenants add <id>".');
    return { ok: true, tenants };
  }
}

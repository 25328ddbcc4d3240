import { string } from '@oclif/core/args';
import { ServerCommand } from '../../cli/base-command.js';
import { setTenantActive } from '../../cli/tenant-active.js';

/** Let a suspended tenant act and send again. */
export default class TenantsActivate extends ServerCommand {
  static override summary = 'Let a suspended tenant act and send again.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants activate acme'];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(TenantsActivate);
    const server = await this.requireServer(flags.server);
    await setTenantActive(server, args.id, true);
    if (!this.jsonEnabled()) process.stdout.write(`Activated tenant ${args.id}.\n`);
    return { ok: true };
  }
}

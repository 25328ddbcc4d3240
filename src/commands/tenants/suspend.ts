import { string } from '@oclif/core/args';
import { ServerCommand } from '../../cli/base-command.js';
import { setTenantActive } from '../../cli/tenant-active.js';

/** Suspend a tenant: its tokens open nothing and nothing of it is sent. */
export default class TenantsSuspend extends ServerCommand {
  static override summary = 'Suspend a tenant: its tokens open nothing and nothing of it is sent.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants suspend acme'];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(TenantsSuspend);
    const server = await this.requireServer(flags.server);
    await setTenantActive(server, args.id, false);
    if (!this.jsonEnabled()) process.stdout.write(`Suspended tenant ${args.id}.\n`);
    return { ok: true };
  }
}

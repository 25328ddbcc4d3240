import { string } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { confirmOrRefuse } from '../../cli/confirm.js';
import { withKey, withServer } from '../../cli/with-server.js';

/** Deletes a tenant and everything that belongs to it. */
export default class TenantsDelete extends ServerCommand {
  static override summary = 'Delete a tenant with its accounts, tokens and messages.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants delete acme'];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };
  static override flags = { force: boolean({ char: 'f', summary: 'Do not ask.' }) };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(TenantsDelete);
    const server = await this.requireServer(flags.server);
    const waiting = await withServer(server, async (context) => {
      const { getTenant } = await import('../../services/tenants.js');
      const { pendingMessages } = await import('../../services/status.js');
      await getTenant(context, args.id);
      return await pendingMessages(context, args.id);
    });
    await confirmOrRefuse(
      `Delete tenant ${args.id} with its accounts, tokens and messages (${waiting} of them unsent)?`,
      flags.force,
    );
    await withKey(
      server,
      async (context) => {
        const { deleteTenant } = await import('../../services/tenants.js');
        await deleteTenant(context, args.id);
      },
      (client) => client.deleteTenant(args.id),
    );
    if (!this.jsonEnabled()) process.stdout.write(`Deleted tenant ${args.id}.\n`);
    return { ok: true };
  }
}

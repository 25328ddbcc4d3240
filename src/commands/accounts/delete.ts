import { string } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { confirmOrRefuse } from '../../cli/confirm.js';
import { withKey, withServer } from '../../cli/with-server.js';

/** Deletes an SMTP account. */
export default class AccountsDelete extends TenantCommand {
  static override summary = 'Delete an SMTP account.';
  static override description =
    'Without --force it is refused while unsent messages wait for the account; with it they end in error.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme accounts delete smtp1'];
  static override args = { id: string({ description: 'Id of the account.', required: true }) };
  static override flags = {
    force: boolean({ char: 'f', summary: 'Do not ask; unsent messages end in error.' }),
  };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(AccountsDelete);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    await withServer(server, async (context) => {
      const { getAccount } = await import('../../services/accounts.js');
      await getAccount(context, tenant, args.id);
    });
    await confirmOrRefuse(`Delete account ${args.id} of tenant ${tenant} and its password?`, flags.force);
    const force = flags.force === true;
    await withKey(
      server,
      async (context) => {
        const { deleteAccount } = await import('../../services/accounts.js');
        await deleteAccount(context, tenant, args.id, { force });
      },
      (client) => client.deleteAccount(tenant, args.id, { force }),
    );
    if (!this.jsonEnabled()) process.stdout.write(`Deleted account ${args.id} of tenant ${tenant}.\n`);
    return { ok: true };
  }
}

import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { printRecord } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { type AccountWire, accountToWire } from '../../core/wire.js';

/** Shows one account, never its password. */
export default class AccountsShow extends TenantCommand {
  static override summary = 'Show an SMTP account.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme accounts show smtp1'];
  static override args = { id: string({ description: 'Id of the account.', required: true }) };

  override async run(): Promise<{ ok: true } & AccountWire> {
    const { args, flags } = await this.parse(AccountsShow);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const account = await withServer(server, async (context) => {
      const { getAccount } = await import('../../services/accounts.js');
      return accountToWire(await getAccount(context, tenant, args.id));
    });
    if (!this.jsonEnabled()) printRecord(account);
    return { ok: true, ...account };
  }
}

import { string as argument } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { serverArgument, TenantCommand } from '../cli/base-command.js';
import { writeCurrent } from '../cli/current.js';
import { chooseServer, chooseTenant } from '../cli/scope.js';
import { requireServer } from '../cli/servers.js';
import { MailProxyError } from '../core/errors.js';

/** Remembers a server, and perhaps a tenant, for the calls that name none. */
export default class Use extends TenantCommand {
  static override summary = 'Remember a server and a tenant for the calls that name none.';
  static override enableJsonFlag = true;
  static override args = {
    ...serverArgument,
    tenant: argument({ description: 'Id of the tenant.', required: false }),
  };
  static override flags = { clear: boolean({ summary: 'Forget what is remembered.' }) };
  static override examples = ['<%= config.bin %> use myserver acme', '<%= config.bin %> use --clear'];

  override async run(): Promise<{ server: string | null; tenant: string | null }> {
    const { args, flags } = await this.parse(Use);
    const chosen = chooseServer({ argument: args.server, flag: flags.server });
    if (flags.clear) {
      if (chosen) throw new MailProxyError('usage', 'Either name a server or give --clear.');
      await writeCurrent(this.home, {});
      this.note('No server is remembered now.');
      return { server: null, tenant: null };
    }
    // Only what this call says counts: remembering the environment would surprise.
    if (!chosen)
      throw new MailProxyError('usage', 'Name the server to remember: `mail-proxy use <server> [<tenant>]`.');
    const { name: server } = requireServer(this.home, chosen.name);
    const tenant = chooseTenant({ argument: args.tenant, flag: flags.tenant }, server, {})?.name;
    await writeCurrent(this.home, tenant === undefined ? { server } : { server, tenant });
    this.note(`Remembered server ${server}${tenant === undefined ? '' : `, tenant ${tenant}`}.`);
    return { server, tenant: tenant ?? null };
  }
}

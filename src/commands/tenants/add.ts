import { string } from '@oclif/core/args';
import { boolean, string as stringFlag } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { readSecret } from '../../cli/secret-input.js';
import { tenantBody, tenantFlags, tenantInput } from '../../cli/tenant-flags.js';
import { withKey } from '../../cli/with-server.js';

interface Added {
  ok: true;
  tenant_id: string;
  api_key?: string;
  webhook_secret?: string;
}

/** Adds a tenant and prints its token, once. */
export default class TenantsAdd extends ServerCommand {
  static override summary = 'Add a tenant; prints its token once.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver tenants add acme --name "ACME Corp"',
    '<%= config.bin %> myserver tenants add acme --token-file token.txt',
  ];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };
  static override flags = {
    ...tenantFlags,
    'token-stdin': boolean({ summary: 'Read a token of your own choice from stdin.' }),
    'token-file': stringFlag({ summary: 'Read a token of your own choice from a file.', helpValue: 'FILE' }),
  };

  override async run(): Promise<Added> {
    const { args, flags } = await this.parse(TenantsAdd);
    const server = await this.requireServer(flags.server);
    const warn = (message: string): unknown => this.warn(message);
    const input = await tenantInput(flags, warn);
    const token = await readSecret({
      name: 'token',
      fromStdin: flags['token-stdin'],
      file: flags['token-file'],
      warn,
    });
    const added = await withKey<Added>(
      server,
      async (context) => {
        const { putTenant } = await import('../../services/put-tenant.js');
        const created = await putTenant(context, args.id, input, { token }, 'create');
        return {
          ok: true,
          tenant_id: created.tenant.id,
          ...(created.token === undefined ? {} : { api_key: created.token }),
          ...(created.webhookSecret === undefined ? {} : { webhook_secret: created.webhookSecret }),
        };
      },
      async (client) => {
        const { addTenantThrough } = await import('../../cli/tenant-through-daemon.js');
        const chosen = token === undefined ? {} : { token };
        return await addTenantThrough(client, args.id, { ...tenantBody(args.id, input), ...chosen });
      },
    );
    if (!this.jsonEnabled()) {
      process.stdout.write(`Added tenant ${added.tenant_id}.\n`);
      if (added.api_key !== undefined)
        process.stdout.write(`Token (shown once):          ${added.api_key}\n`);
      if (added.webhook_secret !== undefined)
        process.stdout.write(`Webhook secret (shown once): ${added.webhook_secret}\n`);
    }
    if (token !== undefined && Buffer.byteLength(token) < 16)
      this.warn('The token is shorter than 16 bytes and easy to guess.');
    return added;
  }
}

import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { withKey } from '../../cli/with-server.js';

/** Takes a token away. */
export default class TokensRevoke extends TenantCommand {
  static override summary = 'Revoke a token; it opens nothing from now on.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme tokens revoke shop'];
  static override args = { name: string({ description: 'Name of the token.', required: true }) };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(TokensRevoke);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    await withKey(
      server,
      async (context) => {
        const { revokeToken } = await import('../../services/tokens.js');
        await revokeToken(context, tenant, args.name);
      },
      (client) => client.revokeToken(tenant, args.name),
    );
    if (!this.jsonEnabled()) process.stdout.write(`Revoked token ${args.name} of tenant ${tenant}.\n`);
    return { ok: true };
  }
}

import { string } from '@oclif/core/args';
import { string as stringFlag } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { formatTime } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import { parseDuration } from '../../core/duration.js';

interface Created {
  ok: true;
  tenant_id: string;
  name: string;
  token: string;
  expires_at: string | null;
}

/** Makes a named token of a tenant. */
export default class TokensCreate extends TenantCommand {
  static override summary = 'Make a named token for a tenant, shown once.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme tokens create shop --expires 90d'];
  static override args = { name: string({ description: 'Name of the token.', required: true }) };
  static override flags = {
    expires: stringFlag({
      summary: 'How long it works, such as 90d or 12h; for ever when left out.',
      helpValue: 'DURATION',
    }),
  };

  override async run(): Promise<Created> {
    const { args, flags } = await this.parse(TokensCreate);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const expiresAt =
      flags.expires === undefined ? undefined : Date.now() + parseDuration(flags.expires, '--expires');
    const token = await withKey(
      server,
      async (context) => {
        const { createToken } = await import('../../services/tokens.js');
        return await createToken(context, tenant, { name: args.name, expiresAt, replace: false });
      },
      (client) =>
        client.createToken(tenant, {
          name: args.name,
          ...(expiresAt === undefined ? {} : { expires_at: expiresAt / 1000 }),
        }),
    );
    if (!this.jsonEnabled()) {
      process.stdout.write(`Token ${args.name} of tenant ${tenant} (shown once): ${token}\n`);
      if (expiresAt !== undefined) this.note(`It works until ${formatTime(expiresAt)}.`);
    }
    const expires_at = expiresAt === undefined ? null : new Date(expiresAt).toISOString();
    return { ok: true, tenant_id: tenant, name: args.name, token, expires_at };
  }
}

import { string } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { tenantBody, tenantFlags, tenantInput } from '../../cli/tenant-flags.js';
import { withKey } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import { type TenantWire, tenantToWire } from '../../core/wire.js';

/** Changes a tenant; what is not named stays as it is. */
export default class TenantsUpdate extends ServerCommand {
  static override summary = 'Change a tenant.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver tenants update acme --hourly-limit 1000'];
  static override args = { id: string({ description: 'Id of the tenant.', required: true }) };
  static override flags = {
    ...tenantFlags,
    'new-webhook-secret': boolean({ summary: 'Make a new webhook secret, shown once.' }),
  };

  override async run(): Promise<{ ok: true; webhook_secret?: string } & TenantWire> {
    const { args, flags } = await this.parse(TenantsUpdate);
    const server = await this.requireServer(flags.server);
    const webhookSecret = flags['new-webhook-secret'] ? await this.#newWebhookSecret() : undefined;
    const input = { ...(await tenantInput(flags, (message) => this.warn(message))), webhookSecret };
    if (Object.values(input).every((value) => value === undefined)) {
      throw new MailProxyError('usage', 'Nothing to change: name at least one setting, such as --name.');
    }
    const tenant = await withKey(
      server,
      async (context) => {
        const { putTenant } = await import('../../services/put-tenant.js');
        return tenantToWire((await putTenant(context, args.id, input, {}, 'update')).tenant);
      },
      async (client) => {
        const { updateTenantThrough } = await import('../../cli/tenant-through-daemon.js');
        return await updateTenantThrough(client, args.id, tenantBody(args.id, input));
      },
    );
    if (!this.jsonEnabled()) {
      process.stdout.write(`Changed tenant ${tenant.id}.\n`);
      if (webhookSecret !== undefined) {
        process.stdout.write(`Webhook secret (shown once): ${webhookSecret}\n`);
      }
    }
    return { ok: true, ...tenant, ...(webhookSecret === undefined ? {} : { webhook_secret: webhookSecret }) };
  }

  async #newWebhookSecret(): Promise<string> {
    const { generateWebhookSecret } = await import('../../crypto/token.js');
    return generateWebhookSecret();
  }
}

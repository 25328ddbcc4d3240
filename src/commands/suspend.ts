import { string } from '@oclif/core/flags';
import { TenantCommand } from '../cli/base-command.js';
import { escapeControl } from '../cli/output.js';
import { withKey } from '../cli/with-server.js';
import type { SuspensionWire } from '../core/wire.js';

/** Stops the sending of a tenant or of one batch. */
export default class Suspend extends TenantCommand {
  static override summary = 'Stop sending a tenant’s messages, or those of one batch.';
  static override description =
    'In force within a second, also for what is about to be sent; only a message whose body is being handed over is finished. Messages are still accepted. To close a tenant’s access as well, use "tenants suspend".';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme suspend',
    '<%= config.bin %> myserver acme suspend --batch newsletter-7',
  ];
  static override flags = { batch: string({ summary: 'Only this batch.', helpValue: 'CODE' }) };

  override async run(): Promise<{ ok: true } & SuspensionWire> {
    const { flags } = await this.parse(Suspend);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const suspension = await withKey<SuspensionWire>(
      server,
      async (context) => {
        const { suspendSending } = await import('../services/suspend-sending.js');
        return await suspendSending(context, tenant, flags.batch);
      },
      (client) => client.suspend(tenant, flags.batch),
    );
    if (!this.jsonEnabled()) {
      const what =
        flags.batch === undefined
          ? `tenant ${tenant}`
          : `batch ${escapeControl(flags.batch)} of tenant ${tenant}`;
      process.stdout.write(`Suspended ${what}: ${suspension.pending_messages} unsent message(s) wait.\n`);
    }
    return { ok: true, ...suspension };
  }
}

import { boolean, string } from '@oclif/core/flags';
import { TenantCommand } from '../cli/base-command.js';
import { escapeControl } from '../cli/output.js';
import { withKey } from '../cli/with-server.js';
import type { SuspensionWire } from '../core/wire.js';

type Activated = SuspensionWire & { activated_batches: string[] };

/** Lets a suspended tenant or batch be sent again. */
export default class Activate extends TenantCommand {
  static override summary = 'Send again what was suspended: one batch, or everything.';
  static override description =
    'Without --batch the suspensions of single batches end too, unless --keep-batches is given.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme activate',
    '<%= config.bin %> myserver acme activate --batch newsletter-7',
    '<%= config.bin %> myserver acme activate --keep-batches',
  ];
  static override flags = {
    batch: string({ summary: 'Only this batch.', helpValue: 'CODE' }),
    'keep-batches': boolean({
      summary: 'Leave batches suspended that were suspended by themselves.',
      exclusive: ['batch'],
    }),
  };

  override async run(): Promise<{ ok: true } & Activated> {
    const { flags } = await this.parse(Activate);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const request = { batchCode: flags.batch, keepBatches: flags['keep-batches'] === true };
    const activated = await withKey<Activated>(
      server,
      async (context) => {
        const { activateSending } = await import('../services/suspend-sending.js');
        return await activateSending(context, tenant, request);
      },
      (client) => client.activate(tenant, request),
    );
    if (!this.jsonEnabled()) this.#print(tenant, flags.batch, activated);
    return { ok: true, ...activated };
  }

  #print(tenant: string, batch: string | undefined, activated: Activated): void {
    const what =
      batch === undefined ? `tenant ${tenant}` : `batch ${escapeControl(batch)} of tenant ${tenant}`;
    process.stdout.write(`Activated ${what}: ${activated.pending_messages} unsent message(s).\n`);
    const [others, kept] = [activated.activated_batches, activated.suspended_batches];
    if (batch === undefined && others.length > 0)
      this.note(`No longer suspended either: batch ${escapeControl(others.join(', '))}.`);
    if (kept.length > 0) this.note(`Still suspended: batch ${escapeControl(kept.join(', '))}.`);
  }
}

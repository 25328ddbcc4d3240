import { boolean, string } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { confirmOrRefuse } from '../../cli/confirm.js';
import { withServer } from '../../cli/with-server.js';

/** Begins a new audit chain. */
export default class AuditRestart extends ServerCommand {
  static override summary =
    'Begin a new, marked audit chain, after its key was lost or the trail was broken.';
  static override description =
    'What was written before stays as it is; the new chain says that and why it begins.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver audit restart --reason "restored from the backup of May"',
  ];
  static override flags = {
    reason: string({ summary: 'Why, for whoever reads the trail.', default: 'asked for by the operator' }),
    force: boolean({ char: 'f', summary: 'Do not ask.' }),
  };

  override async run(): Promise<{ ok: true; chain: number }> {
    const { flags } = await this.parse(AuditRestart);
    const server = await this.requireServer(flags.server);
    const chain = await withServer(server, async (context) => {
      await confirmOrRefuse('Begin a new audit chain? The present one ends here.', flags.force);
      const [{ beginAuditChain }, { changeBy }] = await Promise.all([
        import('../../services/audit-chain.js'),
        import('../../services/context.js'),
      ]);
      return await beginAuditChain(context.store, context.keyring, changeBy(context), flags.reason);
    });
    if (!this.jsonEnabled()) process.stdout.write(`Audit chain ${chain} begins.\n`);
    return { ok: true, chain };
  }
}

import { string } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { confirmOrRefuse } from '../../cli/confirm.js';
import { escapeControl } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import type { DeletedMessages } from '../../services/delete-messages.js';

/** Deletes messages for good. */
export default class MessagesDelete extends TenantCommand {
  static override summary = 'Delete messages for good; unsent ones are never sent.';
  static override description =
    'What the server may have already (being handed over, or uncertain) is left alone: exit code 1. An id that is not there: exit code 3.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme messages delete order-4711',
    '<%= config.bin %> myserver acme messages delete order-4711 order-4712 --force --json',
  ];
  static override args = {
    id: string({ description: 'Ids of the messages.', required: true, multiple: true }),
  };
  static override flags = { force: boolean({ char: 'f', summary: 'Do not ask.' }) };

  override async run(): Promise<{ ok: true } & DeletedMessages> {
    const { args, flags } = await this.parse(MessagesDelete);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const ids = args.id;
    await confirmOrRefuse(`Delete ${ids.length} message(s) of tenant ${tenant}?`, flags.force);
    const deleted = await withKey<DeletedMessages>(
      server,
      async (context) => {
        const { deleteMessages } = await import('../../services/delete-messages.js');
        return await deleteMessages(context, tenant, ids);
      },
      (client) => client.deleteMessages(tenant, ids),
    );
    if (!this.jsonEnabled()) process.stdout.write(`Deleted ${deleted.removed} message(s).\n`);
    for (const id of deleted.not_found) this.note(`Not found: ${escapeControl(id)}`);
    for (const id of deleted.in_progress)
      this.note(`Left alone, the server may have it already: ${escapeControl(id)}`);
    if (deleted.in_progress.length > 0) process.exitCode = 1;
    else if (deleted.not_found.length > 0) process.exitCode = 3;
    return { ok: true, ...deleted };
  }
}

import { boolean } from '@oclif/core/flags';
import { ServerCommand, serverArgument } from '../cli/base-command.js';
import { confirmOrRefuse } from '../cli/confirm.js';

/** Deletes a server with everything in it. */
export default class Delete extends ServerCommand {
  static override summary = 'Delete a stopped server with its database, key and log.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> delete myserver'];
  static override args = serverArgument;
  static override flags = { force: boolean({ char: 'f', summary: 'Do not ask.' }) };

  override async run(): Promise<{ ok: true; server: string }> {
    const { args, flags } = await this.parse(Delete);
    const server = await this.requireServer(flags.server, args.server);
    const { deleteServer, filesElsewhere, refuseRunning } = await import('../services/delete-server.js');
    refuseRunning(server.name, server.directory, process.env);
    const [database] = filesElsewhere(server.directory, process.env);
    const places = database === undefined ? server.directory : `${server.directory} and ${database}`;
    await confirmOrRefuse(
      `Delete server ${server.name} with all tenants, accounts, messages, backups in it and its key (${places})?`,
      flags.force,
    );
    await deleteServer(server.name, server.directory, process.env);
    if (!this.jsonEnabled()) process.stdout.write(`Deleted server ${server.name}.\n`);
    return { ok: true, server: server.name };
  }
}

import { ServerCommand, serverArgument } from '../cli/base-command.js';
import { printRecord } from '../cli/output.js';
import type { ServerStatus } from '../services/server-status.js';

/** Says whether a server's daemon runs, and where. */
export default class Status extends ServerCommand {
  static override summary = 'Say whether a server’s daemon runs, and where.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> status myserver',
    '<%= config.bin %> myserver status --json',
  ];
  static override args = serverArgument;

  override async run(): Promise<ServerStatus> {
    const { args, flags } = await this.parse(Status);
    const server = await this.requireServer(flags.server, args.server);
    const { serverStatus } = await import('../services/server-status.js');
    const status = serverStatus(server.name, server.directory, process.env, Date.now());
    if (!this.jsonEnabled()) printRecord({ ...status });
    return status;
  }
}

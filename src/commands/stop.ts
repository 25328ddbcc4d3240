import { boolean } from '@oclif/core/flags';
import { ServerCommand, serverArgument } from '../cli/base-command.js';

/** Stops a server's daemon. */
export default class Stop extends ServerCommand {
  static override summary = 'Stop a server’s daemon; what is being sent finishes first.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> stop myserver'];
  static override args = serverArgument;
  static override flags = {
    force: boolean({ summary: 'End it at once; what was being sent is recovered at the next start.' }),
  };

  override async run(): Promise<{ ok: true; server: string; was_running: boolean }> {
    const { args, flags } = await this.parse(Stop);
    const server = await this.requireServer(flags.server, args.server);
    const { stopServer } = await import('../services/stop-server.js');
    const stopped = await stopServer(server.directory, process.env, flags.force === true);
    if (!this.jsonEnabled())
      process.stdout.write(
        stopped ? `Stopped server ${server.name}.\n` : `Server ${server.name} was not running.\n`,
      );
    return { ok: true, server: server.name, was_running: stopped };
  }
}

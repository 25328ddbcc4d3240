import { ServerCommand, serverArgument } from '../cli/base-command.js';

/** Stops and starts a server's daemon. */
export default class Restart extends ServerCommand {
  static override summary = 'Restart a server’s daemon, with the keys and settings of this call.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> restart myserver'];
  static override args = serverArgument;

  override async run(): Promise<{ ok: true; server: string; url: string; pid: number }> {
    const { args, flags } = await this.parse(Restart);
    const server = await this.requireServer(flags.server, args.server);
    const { restartServer } = await import('../services/restart-server.js');
    const { url, pid, warnings } = await restartServer({
      server: server.name,
      directory: server.directory,
      env: process.env,
    });
    for (const warning of warnings) this.warn(warning);
    if (!this.jsonEnabled()) process.stdout.write(`Server ${server.name} serves ${url} (pid ${pid}).\n`);
    return { ok: true, server: server.name, url, pid };
  }
}

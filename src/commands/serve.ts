import { boolean, integer, string } from '@oclif/core/flags';
import { ServerCommand, serverArgument } from '../cli/base-command.js';
import { requireNewName } from '../cli/servers.js';

/** Runs a server's daemon in the foreground, for Docker and systemd. */
export default class Serve extends ServerCommand {
  static override summary = 'Run a server’s daemon in the foreground, for Docker and systemd.';
  static override description =
    'Creates the server when it is new, but never a key or a token: set MAIL_PROXY_ENCRYPTION_KEY and GMP_API_TOKEN. SIGTERM lets what is being sent finish, 30 seconds at most.';
  static override examples = [
    'GMP_API_TOKEN=… MAIL_PROXY_ENCRYPTION_KEY=… <%= config.bin %> serve default --host 0.0.0.0',
  ];
  static override args = serverArgument;
  static override flags = {
    host: string({ summary: 'Address to listen on; 127.0.0.1 when left out.', helpValue: 'ADDRESS' }),
    port: integer({ summary: 'Port to listen on; 8000 when left out.', min: 1, max: 65535 }),
    'hold-unreadable': boolean({
      summary: 'Go on without keys that stored passwords need; those accounts are held.',
    }),
    spawned: boolean({ summary: 'Take secrets from a pipe.', hidden: true }),
  };

  override async run(): Promise<void> {
    const { args, flags } = await this.parse(Serve);
    const server = await this.resolveServer(flags.server, args.server);
    requireNewName(server.name);
    const { serveUntilStopped } = await import('../daemon/serve.js');
    await serveUntilStopped({
      directory: server.directory,
      host: flags.host,
      port: flags.port,
      mayCreateSecrets: false,
      holdUnreadable: flags['hold-unreadable'] === true,
      spawned: flags.spawned === true,
    });
  }
}

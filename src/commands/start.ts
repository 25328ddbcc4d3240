import { boolean, integer, string } from '@oclif/core/flags';
import { ServerCommand, serverArgument } from '../cli/base-command.js';
import { requireNewName } from '../cli/servers.js';
import type { DaemonReady } from '../config/boot.js';

interface Started {
  ok: true;
  server: string;
  url: string;
  pid: number;
  admin_token?: string;
  key_file?: string;
}

/** Starts a server's daemon, and creates the server when it is new. */
export default class Start extends ServerCommand {
  static override summary = 'Start a server’s daemon; creates the server when it is new.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> start myserver',
    '<%= config.bin %> start myserver --port 8025',
  ];
  static override args = serverArgument;
  static override flags = {
    host: string({ summary: 'Address to listen on; 127.0.0.1 when left out.', helpValue: 'ADDRESS' }),
    port: integer({
      summary: 'Port to listen on; a new server takes 8000 or the next free one.',
      min: 1,
      max: 65535,
    }),
    'api-token': string({
      summary: 'Admin token; others on the host can read it here: GMP_API_TOKEN is safer.',
      helpValue: 'TOKEN',
    }),
    'hold-unreadable': boolean({
      summary: 'Go on without keys that stored passwords need; those accounts are held.',
    }),
    foreground: boolean({ summary: 'Stay in the foreground and log to stderr.' }),
  };

  override async run(): Promise<Started> {
    const { args, flags } = await this.parse(Start);
    const server = await this.resolveServer(flags.server, args.server);
    requireNewName(server.name);
    const apiToken = flags['api-token'];
    if (apiToken !== undefined)
      this.warn(
        'Others on this host can read a token that is on a command line; GMP_API_TOKEN keeps it private.',
      );
    const options = {
      directory: server.directory,
      host: flags.host,
      port: flags.port,
      apiToken,
      holdUnreadable: flags['hold-unreadable'] === true,
    };
    if (flags.foreground) {
      const { serveUntilStopped } = await import('../daemon/serve.js');
      let ready: DaemonReady | undefined;
      await serveUntilStopped({
        ...options,
        mayCreateSecrets: true,
        spawned: false,
        onReady: (told) => {
          ready = told;
          if (!this.jsonEnabled()) this.#tell(server.name, told);
        },
      });
      return startedOf(server.name, ready as DaemonReady);
    }
    const { startServer } = await import('../services/start-server.js');
    const ready = await startServer({ server: server.name, env: process.env, ...options });
    if (!this.jsonEnabled()) this.#tell(server.name, ready);
    else for (const warning of ready.warnings) this.warn(warning);
    return startedOf(server.name, ready);
  }

  #tell(name: string, ready: DaemonReady): void {
    process.stdout.write(`Server ${name} serves ${ready.url} (pid ${ready.pid}).\n`);
    if (ready.generatedToken !== undefined)
      process.stdout.write(`Admin token (shown once): ${ready.generatedToken}\n`);
    if (ready.createdKeyFile !== undefined) {
      this.note(
        `Made the encryption key ${ready.createdKeyFile}. Keep a copy elsewhere: without it every stored password is lost.`,
      );
    }
    for (const warning of ready.warnings) this.warn(warning);
  }
}

function startedOf(server: string, ready: DaemonReady): Started {
  return {
    ok: true,
    server,
    url: ready.url,
    pid: ready.pid,
    ...(ready.generatedToken === undefined ? {} : { admin_token: ready.generatedToken }),
    ...(ready.createdKeyFile === undefined ? {} : { key_file: ready.createdKeyFile }),
  };
}

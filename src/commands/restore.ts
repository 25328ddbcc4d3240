import { string as stringArgument } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../cli/base-command.js';
import { confirmOrRefuse } from '../cli/confirm.js';
import { requireNewName } from '../cli/servers.js';
import type { Restored } from '../services/restore-server.js';

interface Done {
  ok: true;
  schema: number;
  /** Where the database is that was replaced. */
  replaced: string | null;
  unsent: number;
  held_tenants: string[];
}

/** Puts a backup in the place of a stopped server's database. */
export default class Restore extends ServerCommand {
  static override summary = 'Put a backup in the place of a stopped server’s database.';
  static override description =
    'The backup is checked first: that it is whole, ours and not newer, that the keys at hand open its secrets, and that its audit trail is as it was written. The present database is kept beside it. Everything is then as it was when the backup was made: tokens that were revoked since open again, and messages that were sent since are sent once more, unless --hold-queue holds them.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver restore ~/.mail-proxy/myserver/backups/myserver-20300131T090507Z.db',
    '<%= config.bin %> myserver restore backup.db --hold-queue --force',
  ];
  static override args = { file: stringArgument({ description: 'File made by "backup".', required: true }) };
  static override flags = {
    'hold-queue': boolean({ summary: 'Suspend every tenant that has unsent messages in the backup.' }),
    'hold-unreadable': boolean({
      summary: 'Go on although secrets do not open here, or the audit trail does not verify.',
    }),
    force: boolean({ char: 'f', summary: 'Do not ask.' }),
  };

  override async run(): Promise<Done> {
    const { args, flags } = await this.parse(Restore);
    const server = await this.resolveServer(flags.server);
    requireNewName(server.name);
    const hold = flags['hold-queue'] === true;
    const { operator } = await import('../services/open-server.js');
    const { prepareRestore } = await import('../services/restore-server.js');
    const prepared = await prepareRestore({
      server: server.name,
      directory: server.directory,
      env: process.env,
      file: args.file,
      holdUnreadable: flags['hold-unreadable'] === true,
      actor: operator(),
    });
    try {
      for (const warning of prepared.warnings) this.warn(warning);
      if (prepared.unsent > 0 && !hold) {
        this.warn(
          `${prepared.unsent} unsent message(s) of the backup go out at the next start, also those that were sent since it was made; --hold-queue holds them.`,
        );
      }
      await confirmOrRefuse(
        prepared.replaces
          ? `Replace the database of server ${server.name} by ${args.file} (the present one is kept)?`
          : `Make the database of server ${server.name}, which has none, from ${args.file}?`,
        flags.force,
      );
      const restored = await prepared.commit({ hold, now: Date.now() });
      if (!this.jsonEnabled()) this.#tell(server.name, args.file, restored);
      const { schema, unsent } = prepared;
      return { ok: true, schema, replaced: restored.replaced, unsent, held_tenants: restored.held };
    } finally {
      prepared.discard();
    }
  }

  #tell(server: string, file: string, { replaced, held }: Restored): void {
    process.stdout.write(`Restored ${file}.\n`);
    if (replaced !== null) this.note(`The database of before is now ${replaced}.`);
    for (const tenant of held) {
      this.note(`Tenant ${tenant} is held: "mail-proxy ${server} ${tenant} activate" sends its messages.`);
    }
    this.note('Tokens and passwords are those of the backup: revoke again what was revoked since.');
  }
}

import { string as stringArgument } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../cli/base-command.js';
import { createProgress } from '../cli/progress.js';
import { MailProxyError } from '../core/errors.js';

interface Made {
  ok: true;
  file: string;
  bytes: number;
  schema: number;
  /** Whether the audit trail notes it. */
  audited: boolean;
}

/** Copies a server's database, live or stopped. */
export default class Backup extends ServerCommand {
  static override summary = 'Make a consistent copy of the database, the daemon running or not.';
  static override description =
    'The copy has mode 0600 and is checked before it gets its name: the given one, or backups/<server>-<time>.db in the directory of the server. The key files are not in it. Keep them too, in another place: without them the passwords in the backup are lost.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver backup',
    '<%= config.bin %> myserver backup /mnt/backups/myserver.db --force',
  ];
  static override args = {
    file: stringArgument({ description: 'File or directory to write to.', required: false }),
  };
  static override flags = { force: boolean({ char: 'f', summary: 'Replace a file that is there already.' }) };

  override async run(): Promise<Made> {
    const { args, flags } = await this.parse(Backup);
    const server = await this.requireServer(flags.server);
    const { backupServer } = await import('../services/backup-server.js');
    const progress = createProgress('Copying pages', this.jsonEnabled());
    let isInterrupted = false;
    const interrupt = (): void => {
      isInterrupted = true;
    };
    process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
    const { file, bytes, schema, unaudited } = await backupServer(
      server.name,
      server.directory,
      process.env,
      {
        file: args.file,
        overwrite: flags.force === true,
        now: Date.now,
        onProgress(done, total) {
          if (isInterrupted) throw new MailProxyError('cancelled', 'No backup was made.');
          progress.update(done, total);
        },
      },
    ).finally(() => {
      process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
      progress.end();
    });
    if (unaudited !== undefined) this.warn(`The audit trail does not note this backup: ${unaudited}`);
    this.note(
      'The encryption keys (encryption.key, keys/*.key, or wherever yours are) are not in it: keep them as well, in another place. Without them the passwords in the backup are lost.',
    );
    if (!this.jsonEnabled()) process.stdout.write(`${file}\n`);
    return { ok: true, file, bytes, schema, audited: unaudited === undefined };
  }
}

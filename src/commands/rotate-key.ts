import { readFile } from 'node:fs/promises';
import { boolean, string } from '@oclif/core/flags';
import { ServerCommand, serverArgument } from '../cli/base-command.js';
import { createProgress } from '../cli/progress.js';
import { readSecret } from '../cli/secret-input.js';
import { withKey } from '../cli/with-server.js';
import { MailProxyError } from '../core/errors.js';

interface Rotated {
  ok: true;
  dry_run: boolean;
  key_id: string;
  reencrypted: number;
  retired: string[];
  retired_files: string[];
}

/** Rotates a server's encryption key while mail flows. */
export default class RotateKey extends ServerCommand {
  static override summary = 'Put every stored secret under a new encryption key, while mail flows.';
  static override description =
    'A key in the server’s own directory is replaced by a new one, generated or given. A key from the environment or a secrets file is changed by you: the command changes nothing until the daemon holds the new one, and says what to do. It may be ended at any moment and run again.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> rotate-key myserver',
    '<%= config.bin %> rotate-key myserver --dry-run',
    '<%= config.bin %> rotate-key myserver --new-key-file new.key',
  ];
  static override args = serverArgument;
  static override flags = {
    'new-key-file': string({ summary: 'File of the new key: 32 raw bytes, or base64.', helpValue: 'FILE' }),
    'new-key-stdin': boolean({ summary: 'Read the new key (base64) from stdin.' }),
    'dry-run': boolean({ summary: 'Say what would be done; change nothing.' }),
  };

  override async run(): Promise<Rotated> {
    const { args, flags } = await this.parse(RotateKey);
    const server = await this.requireServer(flags.server, args.server);
    const newKey = await this.#newKey(flags['new-key-file'], flags['new-key-stdin'] === true);
    const rotated = await withKey<Rotated>(
      server,
      async (context): Promise<Rotated> => {
        const { rotateServerKey } = await import('../services/rotate-server-key.js');
        const progress = createProgress('Encrypting secrets anew', this.jsonEnabled());
        try {
          const result = await rotateServerKey(context, server, process.env, newKey, {
            dryRun: flags['dry-run'] === true,
            onProgress: progress.update,
          });
          return {
            ok: true,
            dry_run: result.dryRun,
            key_id: result.keyId,
            reencrypted: result.reencrypted,
            retired: result.retired,
            retired_files: result.retiredFiles,
          };
        } finally {
          progress.end();
        }
      },
      async (client) => {
        if (newKey !== undefined || flags['dry-run'] === true) {
          throw new MailProxyError(
            'key_missing',
            'Only the daemon has the key: it can put secrets under its own primary key, but takes no new one from here.',
          );
        }
        const { key_id, reencrypted, retired } = await client.reencrypt();
        return { ok: true, dry_run: false, key_id, reencrypted, retired, retired_files: [] };
      },
    );
    if (!this.jsonEnabled()) this.#tell(rotated);
    return rotated;
  }

  async #newKey(file: string | undefined, fromStdin: boolean): Promise<Buffer | undefined> {
    const { parseBase64Key } = await import('../crypto/key-sources.js');
    const environment = process.env.MAIL_PROXY_NEW_ENCRYPTION_KEY;
    if (file !== undefined) {
      if (fromStdin) throw new MailProxyError('usage', 'Give the new key in one way only.');
      const bytes = await readFile(file).catch((cause: NodeJS.ErrnoException) => {
        throw new MailProxyError(
          'file_unreadable',
          `The file of --new-key-file cannot be read: ${cause.code}.`,
          { cause },
        );
      });
      return bytes.length === 32
        ? bytes
        : parseBase64Key(bytes.toString('latin1'), 'The file of --new-key-file');
    }
    const text = await readSecret({
      name: 'new-key',
      fromStdin,
      environment: undefined,
      warn: (message) => this.warn(message),
    });
    if (text !== undefined) return parseBase64Key(text, 'The new key from stdin');
    return environment === undefined
      ? undefined
      : parseBase64Key(environment, 'MAIL_PROXY_NEW_ENCRYPTION_KEY');
  }

  #tell({ dry_run, key_id, reencrypted, retired, retired_files }: Rotated): void {
    if (dry_run) {
      process.stdout.write(
        `Would encrypt ${reencrypted} secret(s) anew and retire ${retired.length} key(s). Nothing was changed.\n`,
      );
      return;
    }
    process.stdout.write(
      `All secrets are under key ${key_id}; ${reencrypted} were encrypted anew, ${retired.length} key(s) retired.\n`,
    );
    for (const file of retired_files) {
      this.note(
        `The old key is now ${file}: backups made before still need it; keep it away from this machine, or delete it.`,
      );
    }
  }
}

import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { boolean, string } from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.js';
import { MailProxyError } from '../core/errors.js';

/** Prints or writes a new random encryption key. */
export default class Keygen extends BaseCommand {
  static override summary = 'Make a new encryption key.';
  static override description =
    'Prints 32 random bytes as base64, for MAIL_PROXY_ENCRYPTION_KEY. A secrets file holds the raw bytes: --raw --out FILE.';
  static override examples = [
    '<%= config.bin %> keygen',
    '<%= config.bin %> keygen --raw --out /run/secrets/encryption_key',
  ];
  static override flags = {
    out: string({ summary: 'Write the key to a new file (mode 0600) instead.', helpValue: 'FILE' }),
    raw: boolean({ summary: 'Write the 32 bytes themselves; needs --out.' }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(Keygen);
    if (flags.raw && flags.out === undefined) {
      throw new MailProxyError('usage', 'Raw bytes are not printed: name a file for them with --out.');
    }
    const key = randomBytes(32);
    const line = `${key.toString('base64')}\n`;
    if (flags.out === undefined) {
      process.stdout.write(line);
      return;
    }
    await writeNewFile(flags.out, flags.raw ? key : line);
    this.note(`Wrote a new key to ${flags.out}. Keep a copy: without it, stored passwords are lost.`);
  }
}

/** Creates a file of mode 0600, on disk when this returns; a file that is already there is left alone. */
async function writeNewFile(path: string, content: Buffer | string): Promise<void> {
  const handle = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') {
      throw new MailProxyError('already_exists', `${path} is already there; a key is never overwritten.`, {
        cause,
      });
    }
    throw new MailProxyError('file_unreadable', `${path} cannot be created: ${cause.code}.`, { cause });
  });
  try {
    await handle.chmod(0o600);
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

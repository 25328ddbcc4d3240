import { readFile } from 'node:fs/promises';
import { string } from '@oclif/core/args';
import { ServerCommand } from '../../cli/base-command.js';
import { withServer } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';

/** Gives a server a further key to decrypt with. */
export default class KeysAdd extends ServerCommand {
  static override summary =
    'Give a server a further key to decrypt with, such as an old one of a restored backup.';
  static override description =
    'New secrets go on being sealed under the primary key: "rotate-key" changes that.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver keys add old.key'];
  static override args = {
    file: string({ description: 'File of 32 raw bytes, or base64.', required: true }),
  };

  override async run(): Promise<{ ok: true; key_id: string }> {
    const { args, flags } = await this.parse(KeysAdd);
    const server = await this.requireServer(flags.server);
    const bytes = await readFile(args.file).catch((cause: NodeJS.ErrnoException) => {
      throw new MailProxyError('file_unreadable', `The key file cannot be read: ${cause.code}.`, { cause });
    });
    const [{ parseBase64Key, rotatedKeyFile }, { keyIdOf }, { writeKeyFile }, { changeBy }] =
      await Promise.all([
        import('../../crypto/key-sources.js'),
        import('../../crypto/secret-box.js'),
        import('../../services/key-files.js'),
        import('../../services/context.js'),
      ]);
    const key = bytes.length === 32 ? bytes : parseBase64Key(bytes.toString('latin1'), 'The key file');
    const id = keyIdOf(key);
    await withServer(server, async (context) => {
      if (!context.store.audit.unlocked) {
        throw new MailProxyError(
          'key_missing',
          'The primary key is not available to this command: nothing was changed.',
        );
      }
      const path = rotatedKeyFile(server.directory, id);
      writeKeyFile(path, key);
      // Its place tells it from a key that a rotation means to make primary.
      await context.store.keys.add(id, `added: ${path}`, changeBy(context));
    });
    if (!this.jsonEnabled()) process.stdout.write(`Added key ${id}: it decrypts what is under it.\n`);
    return { ok: true, key_id: id };
  }
}

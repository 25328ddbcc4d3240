import { string } from '@oclif/core/args';
import { ServerCommand } from '../../cli/base-command.js';
import { withServer } from '../../cli/with-server.js';

/** Takes a key that nothing needs out of use. */
export default class KeysRetire extends ServerCommand {
  static override summary = 'Take a key out of use; refused while a secret needs it.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver keys retire 9f86d081884c7d65'];
  static override args = { id: string({ description: 'Id of the key.', required: true }) };

  override async run(): Promise<{ ok: true }> {
    const { args, flags } = await this.parse(KeysRetire);
    const server = await this.requireServer(flags.server);
    await withServer(server, async (context) => {
      const [{ changeBy }, { retireKeyFile }] = await Promise.all([
        import('../../services/context.js'),
        import('../../services/key-files.js'),
      ]);
      await context.store.keys.retire(args.id, changeBy(context));
      const moved = retireKeyFile(server.directory, args.id);
      if (moved !== undefined) this.note(`Its file is now ${moved}: backups made before still need it.`);
    });
    if (!this.jsonEnabled()) process.stdout.write(`Key ${args.id} is retired.\n`);
    return { ok: true };
  }
}

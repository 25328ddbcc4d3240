import { ServerCommand } from '../../cli/base-command.js';
import { withKey } from '../../cli/with-server.js';

/** Makes a new admin token. */
export default class TokenRotate extends ServerCommand {
  static override summary = 'Make a new admin token, shown once; the old one is dead at once.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver token rotate'];

  override async run(): Promise<{ ok: true; admin_token: string }> {
    const { flags } = await this.parse(TokenRotate);
    const server = await this.requireServer(flags.server);
    const token = await withKey(
      server,
      async (context) => {
        const { rotateAdminToken } = await import('../../services/tokens.js');
        return await rotateAdminToken(context);
      },
      (client) => client.rotateAdminToken(),
    );
    if (!this.jsonEnabled()) process.stdout.write(`Admin token (shown once): ${token}\n`);
    return { ok: true, admin_token: token };
  }
}

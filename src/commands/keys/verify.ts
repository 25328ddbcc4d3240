import { ServerCommand } from '../../cli/base-command.js';
import { escapeControl } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import type { KeyVerification } from '../../client/index.js';
import { MailProxyError } from '../../core/errors.js';

/** Opens every stored secret and names those that do not open. */
export default class KeysVerify extends ServerCommand {
  static override summary =
    'Open every stored secret and name those that do not open, with the likely reason.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver keys verify'];

  override async run(): Promise<KeyVerification> {
    const { flags } = await this.parse(KeysVerify);
    const server = await this.requireServer(flags.server);
    const verification = await withKey<KeyVerification>(
      server,
      async ({ store, keyring }) => {
        const { verifySecrets } = await import('../../services/reencrypt.js');
        const { checked, unreadable } = await verifySecrets(store, keyring);
        return {
          ok: unreadable.length === 0,
          checked,
          unreadable: unreadable.map(({ what, keyId, reason }) => ({ what, key_id: keyId, reason })),
        };
      },
      (client) => client.verifyKeys(),
    );
    const { checked, unreadable } = verification;
    if (!this.jsonEnabled()) {
      for (const { what, key_id, reason } of unreadable) {
        process.stdout.write(`${escapeControl(what)} (key ${key_id}) does not open: ${reason}.\n`);
      }
      if (unreadable.length === 0) process.stdout.write(`All ${checked} secrets open.\n`);
    }
    if (unreadable.length > 0) {
      throw new MailProxyError(
        'credential_unreadable',
        `${unreadable.length} of ${checked} secrets do not open: set them again, or make their key available.`,
        {
          issues: unreadable.map(({ what, reason }) => ({ path: what, message: `${reason}.` })),
        },
      );
    }
    return verification;
  }
}

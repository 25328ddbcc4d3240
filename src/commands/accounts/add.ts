import { string } from '@oclif/core/flags';
import { accountBody, accountFlags, accountInput, accountPassword } from '../../cli/account-flags.js';
import { TenantCommand } from '../../cli/base-command.js';
import { askText, canPrompt } from '../../cli/prompts.js';
import { withKey } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import { type AccountWire, accountToWire } from '../../core/wire.js';

/** Adds an SMTP account to a tenant; its password is encrypted before it is stored. */
export default class AccountsAdd extends TenantCommand {
  static override summary = 'Add an SMTP account to a tenant.';
  static override description =
    'The password is asked for on a terminal; scripts give it by --password-stdin, --password-file or MAIL_PROXY_SMTP_PASSWORD.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme accounts add --host smtp.example.com --tls starttls --user u',
    'pass smtp | <%= config.bin %> myserver acme accounts add --host smtp.example.com --user u --password-stdin',
  ];
  static override flags = {
    id: string({
      summary: 'Id of the account; the first free of smtp1, smtp2, … when left out.',
      helpValue: 'ID',
    }),
    ...accountFlags,
  };

  override async run(): Promise<{ ok: true } & AccountWire> {
    const { flags } = await this.parse(AccountsAdd);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const host = flags.host ?? (canPrompt() ? await askText('SMTP host:') : undefined);
    if (host === undefined) throw new MailProxyError('usage', 'Name the SMTP server with --host.');
    const input = await accountInput({ ...flags, host });
    const password = await accountPassword(flags, flags.user !== undefined, (message) => this.warn(message));
    if (flags.user !== undefined && password === undefined) {
      throw new MailProxyError(
        'usage',
        'The user needs a password: give --password-stdin, --password-file or MAIL_PROXY_SMTP_PASSWORD.',
      );
    }
    const said = { ...input, password };
    const account = await withKey(
      server,
      async (context) => {
        const { putAccount } = await import('../../services/put-account.js');
        return accountToWire(await putAccount(context, tenant, flags.id, said, 'add'));
      },
      async (client) => {
        const { addAccountThrough } = await import('../../cli/account-through-daemon.js');
        return await addAccountThrough(client, tenant, flags.id, accountBody(flags.id, tenant, said));
      },
    );
    if (!this.jsonEnabled()) {
      process.stdout.write(
        `Added account ${account.id} (${account.host}:${account.port}, ${account.tls}) to tenant ${tenant}.\n`,
      );
      if (account.tls === 'none')
        this.warn(
          'Mail and password of this account travel unencrypted: use it on a network you trust only.',
        );
      else if (!account.tls_verify)
        this.warn('The server of this account is not verified: anyone on the way can pose as it.');
    }
    return { ok: true, ...account };
  }
}

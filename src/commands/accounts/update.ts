import { string } from '@oclif/core/args';
import {
  accountBody,
  accountFlags,
  accountInput,
  accountPassword,
  type ParsedAccountFlags,
} from '../../cli/account-flags.js';
import { TenantCommand } from '../../cli/base-command.js';
import { withKey } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import { type AccountWire, accountToWire } from '../../core/wire.js';

const BOUND: ReadonlyArray<keyof ParsedAccountFlags> = [
  'host',
  'port',
  'tls',
  'use-tls',
  'use-ssl',
  'tls-ca',
  'tls-verify',
  'user',
];

/** Changes an SMTP account; what is not named stays as it is. */
export default class AccountsUpdate extends TenantCommand {
  static override summary = 'Change an SMTP account.';
  static override description =
    'The stored password is bound to host, port, TLS settings and user: to change one of them, give the password again.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme accounts update smtp1 --limit-hour 500',
    'pass smtp | <%= config.bin %> myserver acme accounts update smtp1 --password-stdin',
  ];
  static override args = { id: string({ description: 'Id of the account.', required: true }) };
  static override flags = accountFlags;

  override async run(): Promise<{ ok: true } & AccountWire> {
    const { args, flags } = await this.parse(AccountsUpdate);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const input = await accountInput(flags);
    const rebinds = BOUND.some((name) => flags[name] !== undefined) && input.user !== null;
    const password = await accountPassword(flags, rebinds, (message) => this.warn(message));
    if (password === undefined && Object.values(input).every((value) => value === undefined)) {
      throw new MailProxyError(
        'usage',
        'Nothing to change: name at least one setting, such as --limit-hour 500.',
      );
    }
    const said = { ...input, password };
    const update = async (
      context: import('../../services/context.js').ServiceContext,
    ): Promise<AccountWire> => {
      const { putAccount } = await import('../../services/put-account.js');
      return accountToWire(await putAccount(context, tenant, args.id, said, 'update'));
    };
    const account = await withKey(server, update, async (client) => {
      const { updateAccountThrough } = await import('../../cli/account-through-daemon.js');
      return await updateAccountThrough(client, tenant, args.id, accountBody(args.id, tenant, said));
    });
    if (!this.jsonEnabled()) process.stdout.write(`Changed account ${account.id} of tenant ${tenant}.\n`);
    return { ok: true, ...account };
  }
}

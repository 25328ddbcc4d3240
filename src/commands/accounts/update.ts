import { string } from '@oclif/core/args';
import { boolean } from '@oclif/core/flags';
import {
  accountBody,
  accountFlags,
  accountInput,
  accountPassword,
  type ParsedAccountFlags,
} from '../../cli/account-flags.js';
import { TenantCommand } from '../../cli/base-command.js';
import { withKey } from '../../cli/with-server.js';
import type { AccountInput } from '../../core/account-settings.js';
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

const PASSWORD: ReadonlyArray<keyof ParsedAccountFlags> = ['password', 'password-stdin', 'password-file'];

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
  static override flags = {
    ...accountFlags,
    'allow-downgrade': boolean({
      summary: 'Make an account weaker on purpose that has delivered over verified TLS.',
    }),
  };

  override async run(): Promise<{ ok: true } & AccountWire> {
    const { args, flags } = await this.parse(AccountsUpdate);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const input = await accountInput(flags);
    const isNothing = Object.values(input).every((value) => value === undefined);
    if (isNothing && !PASSWORD.some((name) => flags[name] !== undefined)) {
      throw new MailProxyError(
        'usage',
        'Nothing to change: name at least one setting, such as --limit-hour 500.',
      );
    }
    /** What was said, with the password when the account that results needs it again. */
    const complete = async (current: { user: string | null }): Promise<AccountInput> => {
      const user = input.user === undefined ? current.user : input.user;
      const wanted = user !== null && BOUND.some((name) => flags[name] !== undefined);
      const password = await accountPassword(flags, wanted, (message) => this.warn(message));
      return { ...input, password, allowDowngrade: flags['allow-downgrade'] };
    };
    const update = async (
      context: import('../../services/context.js').ServiceContext,
    ): Promise<AccountWire> => {
      const { getAccount } = await import('../../services/accounts.js');
      const { putAccount } = await import('../../services/put-account.js');
      const said = await complete(await getAccount(context, tenant, args.id));
      return accountToWire(await putAccount(context, tenant, args.id, said, 'update'));
    };
    const account = await withKey(server, update, async (client) => {
      const { updateAccountThrough } = await import('../../cli/account-through-daemon.js');
      const said = await complete(await client.getAccount(tenant, args.id));
      return await updateAccountThrough(client, tenant, args.id, accountBody(args.id, tenant, said));
    });
    if (!this.jsonEnabled()) process.stdout.write(`Changed account ${account.id} of tenant ${tenant}.\n`);
    return { ok: true, ...account };
  }
}

import { boolean } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { type Column, printCsv, printTable } from '../../cli/output.js';
import { readAll } from '../../cli/paging.js';
import { withServer } from '../../cli/with-server.js';
import { type AccountWire, accountToWire } from '../../core/wire.js';

const COLUMNS: Column<AccountWire>[] = [
  { header: 'ID', value: (account) => account.id },
  { header: 'HOST', value: (account) => account.host },
  { header: 'PORT', value: (account) => account.port, align: 'right' },
  { header: 'TLS', value: (account) => account.tls },
  { header: 'USER', value: (account) => account.user },
  { header: 'LIMITS', value: limitsOf },
  { header: 'DEFAULT', value: (account) => (account.is_default ? 'yes' : '') },
];

/** Lists a tenant's SMTP accounts. */
export default class AccountsList extends TenantCommand {
  static override summary = 'List the SMTP accounts of a tenant.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme accounts list'];
  static override flags = { csv: boolean({ summary: 'Print comma-separated values.', exclusive: ['json'] }) };

  override async run(): Promise<{ ok: true; accounts: AccountWire[] }> {
    const { flags } = await this.parse(AccountsList);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const accounts = await withServer(server, async (context) => {
      const [{ listAccounts }, { getTenant }] = await Promise.all([
        import('../../services/accounts.js'),
        import('../../services/tenants.js'),
      ]);
      await getTenant(context, tenant);
      return (await readAll((page) => listAccounts(context, tenant, page))).map(accountToWire);
    });
    if (flags.csv) printCsv(accounts, COLUMNS);
    else if (!this.jsonEnabled() && accounts.length > 0) printTable(accounts, COLUMNS);
    else if (!this.jsonEnabled())
      this.note(`The tenant ${tenant} has no account: add one with "accounts add".`);
    return { ok: true, accounts };
  }
}

function limitsOf(account: AccountWire): string {
  return [
    [account.limit_per_minute, 'min'],
    [account.limit_per_hour, 'h'],
    [account.limit_per_day, 'd'],
  ]
    .filter(([limit]) => limit !== null)
    .map(([limit, unit]) => `${limit}/${unit}`)
    .join(' ');
}

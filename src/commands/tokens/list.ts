import { boolean } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { type Column, formatTime, printCsv, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import { type TokenWire, tokenToWire } from '../../core/wire.js';

const time = (iso: string | null): string => formatTime(iso === null ? null : Date.parse(iso));

const COLUMNS: Column<TokenWire>[] = [
  { header: 'NAME', value: (token) => token.name },
  { header: 'CREATED', value: (token) => time(token.created_at) },
  { header: 'EXPIRES', value: (token) => time(token.expires_at) },
  { header: 'LAST USED', value: (token) => time(token.last_used_at) },
];

/** Lists a tenant's tokens, never the tokens themselves. */
export default class TokensList extends TenantCommand {
  static override summary = 'List the tokens of a tenant: names, expiry and last use.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme tokens list'];
  static override flags = { csv: boolean({ summary: 'Print comma-separated values.' }) };

  override async run(): Promise<{ ok: true; tokens: TokenWire[] }> {
    const { flags } = await this.parse(TokensList);
    if (flags.csv && this.jsonEnabled()) throw new MailProxyError('usage', 'Give either --csv or --json.');
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const tokens = await withServer(server, async (context) => {
      const { listTokens } = await import('../../services/tokens.js');
      return (await listTokens(context, tenant)).map(tokenToWire);
    });
    if (flags.csv) printCsv(tokens, COLUMNS);
    else if (!this.jsonEnabled() && tokens.length > 0) printTable(tokens, COLUMNS);
    else if (!this.jsonEnabled())
      this.note(`The tenant ${tenant} has no token: make one with "tokens create".`);
    return { ok: true, tokens };
  }
}

import { BaseCommand } from '../cli/base-command.js';
import type { Chosen } from '../cli/scope.js';

/** Shows the server and tenant that a call which names none is about. */
export default class Current extends BaseCommand {
  static override summary = 'Show the server and tenant that calls act on when they name none.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> current', '<%= config.bin %> current --json'];

  override async run(): Promise<{ server: string | null; tenant: string | null }> {
    await this.parse(Current);
    const server = await this.findServer();
    const tenant = server && (await this.findTenant(server.name));
    if (server) this.log(`server: ${describe(server, 'MAIL_PROXY_SERVER')}`);
    else this.note('No server is remembered: `mail-proxy use <server> [<tenant>]` does that.');
    if (tenant) this.log(`tenant: ${describe(tenant, 'MAIL_PROXY_TENANT')}`);
    return { server: server?.name ?? null, tenant: tenant?.name ?? null };
  }
}

function describe(chosen: Chosen, variable: string): string {
  return chosen.source === 'environment' ? `${chosen.name} (from ${variable})` : chosen.name;
}

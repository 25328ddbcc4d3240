import { boolean } from '@oclif/core/flags';
import { BaseCommand } from '../cli/base-command.js';
import { type Column, printCsv, printTable } from '../cli/output.js';
import { listServerNames } from '../cli/servers.js';
import { serverDirectory } from '../config/paths.js';
import { MailProxyError } from '../core/errors.js';
import type { ServerStatus } from '../services/server-status.js';

const COLUMNS: Column<ServerStatus>[] = [
  { header: 'SERVER', value: (status) => status.server },
  { header: 'STATE', value: (status) => status.state },
  { header: 'URL', value: (status) => status.url },
  { header: 'PID', value: (status) => status.pid, align: 'right' },
  { header: 'VERSION', value: (status) => status.version },
];

/** Lists the servers of this user. */
export default class List extends BaseCommand {
  static override summary = 'List your servers.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> list'];
  static override flags = { csv: boolean({ summary: 'Print comma-separated values.', exclusive: ['json'] }) };

  override async run(): Promise<{ ok: true; servers: ServerStatus[] }> {
    const { flags } = await this.parse(List);
    const { serverStatus, stoppedStatus } = await import('../services/server-status.js');
    const now = Date.now();
    const servers = listServerNames(this.home).map((name) => {
      try {
        return serverStatus(name, serverDirectory(this.home, name), process.env, now);
      } catch (error) {
        // One server that cannot be looked at hides none of the others.
        if (!(error instanceof MailProxyError)) throw error;
        this.warn(`It is not known whether ${name} runs: ${error.message}`);
        return stoppedStatus(name);
      }
    });
    if (flags.csv) printCsv(servers, COLUMNS);
    else if (!this.jsonEnabled() && servers.length > 0) printTable(servers, COLUMNS);
    else if (!this.jsonEnabled())
      this.note('There is no server yet: make one with "mail-proxy start <server>".');
    return { ok: true, servers };
  }
}

import { boolean } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { type Column, formatTime, printCsv, printTable } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import type { KeyWire } from '../../client/index.js';
import { MailProxyError } from '../../core/errors.js';

const time = (iso: string | null): string => formatTime(iso === null ? null : Date.parse(iso));

const COLUMNS: Column<KeyWire>[] = [
  { header: 'ID', value: (key) => key.id },
  {
    header: 'USE',
    value: (key) => (key.primary ? 'primary' : key.retired_at === null ? 'decrypts' : 'retired'),
  },
  { header: 'SECRETS', value: (key) => key.secrets, align: 'right' },
  { header: 'SOURCE', value: (key) => key.source ?? '(not available here)' },
  { header: 'RECORDED', value: (key) => time(key.recorded_at) },
  { header: 'RETIRED', value: (key) => time(key.retired_at) },
];

/** Lists a server's encryption keys, never the keys themselves. */
export default class KeysList extends ServerCommand {
  static override summary = 'List the encryption keys by id, where they come from and what they open.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver keys list'];
  static override flags = { csv: boolean({ summary: 'Print comma-separated values.' }) };

  override async run(): Promise<{ ok: true; keys: KeyWire[] }> {
    const { flags } = await this.parse(KeysList);
    if (flags.csv && this.jsonEnabled()) throw new MailProxyError('usage', 'Give either --csv or --json.');
    const server = await this.requireServer(flags.server);
    const keys = await withKey<KeyWire[]>(
      server,
      async (context) => {
        const { listKeys } = await import('../../services/list-keys.js');
        return await listKeys(context);
      },
      (client) => client.listKeys(),
    );
    if (flags.csv) printCsv(keys, COLUMNS);
    else if (!this.jsonEnabled()) printTable(keys, COLUMNS);
    return { ok: true, keys };
  }
}

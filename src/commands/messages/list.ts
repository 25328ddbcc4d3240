import { boolean, integer, string } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { type Column, formatTime, printCsv, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import type { MessageStatus } from '../../core/types.js';
import { type MessageWire, messageToWire } from '../../core/wire.js';

const STATUSES: MessageStatus[] = [
  'pending',
  'deferred',
  'suspended',
  'sending',
  'uncertain',
  'sent',
  'error',
];

const seconds = (ts: number | null): string => formatTime(ts === null ? null : ts * 1000);

const COLUMNS: Column<MessageWire>[] = [
  { header: 'ID', value: (message) => message.id },
  { header: 'STATUS', value: (message) => message.status },
  { header: 'ACCOUNT', value: (message) => message.account_id },
  { header: 'TO', value: recipients },
  { header: 'SUBJECT', value: (message) => message.subject },
  { header: 'CREATED', value: (message) => formatTime(Date.parse(message.created_at)) },
  { header: 'NEXT ATTEMPT', value: (message) => seconds(message.next_attempt_ts) },
  { header: 'ERROR', value: (message) => message.error },
];

interface Listed {
  ok: true;
  messages: MessageWire[];
  next_cursor?: string;
}

/** Lists a tenant's messages, newest first. */
export default class MessagesList extends TenantCommand {
  static override summary = 'List the messages of a tenant, newest first.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme messages list',
    '<%= config.bin %> myserver acme messages list --status error --json',
  ];
  static override flags = {
    status: string({ summary: 'Only messages in this state.', options: STATUSES }),
    active: boolean({ summary: 'Only messages that are not final.' }),
    account: string({ summary: 'Only messages of this account.', helpValue: 'ID' }),
    batch: string({ summary: 'Only messages of this batch.', helpValue: 'CODE' }),
    limit: integer({ summary: 'Most messages to list.', default: 100, min: 1, max: 1000 }),
    cursor: string({ summary: 'Go on where the list before ended.', helpValue: 'CURSOR' }),
    csv: boolean({ summary: 'Print comma-separated values.', exclusive: ['json'] }),
  };

  override async run(): Promise<Listed> {
    const { flags } = await this.parse(MessagesList);
    if (flags.cursor !== undefined && !/^\d{1,15}$/.test(flags.cursor)) {
      throw new MailProxyError('usage', 'The --cursor was not made by this list: leave it out to begin.');
    }
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const page = await withServer(server, async (context) => {
      const [{ listMessages }, { getTenant }] = await Promise.all([
        import('../../services/list-messages.js'),
        import('../../services/tenants.js'),
      ]);
      await getTenant(context, tenant);
      return await listMessages(
        context,
        tenant,
        {
          activeOnly: flags.active === true,
          ...(flags.status === undefined ? {} : { status: flags.status as MessageStatus }),
          ...(flags.account === undefined ? {} : { accountId: flags.account }),
          ...(flags.batch === undefined ? {} : { batchCode: flags.batch }),
        },
        { limit: flags.limit, ...(flags.cursor === undefined ? {} : { cursor: flags.cursor }) },
      );
    });
    const messages = page.items.map(messageToWire);
    if (flags.csv) printCsv(messages, COLUMNS);
    else if (!this.jsonEnabled() && messages.length > 0) printTable(messages, COLUMNS);
    else if (!this.jsonEnabled()) this.note('No message fits.');
    if (!this.jsonEnabled() && page.nextCursor !== undefined)
      this.note(`There are more: add --cursor ${page.nextCursor}`);
    return { ok: true, messages, ...(page.nextCursor === undefined ? {} : { next_cursor: page.nextCursor }) };
  }
}

function recipients(message: MessageWire): string {
  const [first, ...others] = message.recipients;
  return `${first?.address ?? ''}${others.length > 0 ? ` +${others.length}` : ''}`;
}

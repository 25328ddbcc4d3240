import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { formatTime, printRecord, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { type MessageWire, messageToWire } from '../../core/wire.js';

/** Shows one message and what became of each recipient. */
export default class MessagesShow extends TenantCommand {
  static override summary = 'Show a message and what became of each recipient.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme messages show order-4711'];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };

  override async run(): Promise<{ ok: true } & MessageWire> {
    const { args, flags } = await this.parse(MessagesShow);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const message = await withServer(server, async (context) => {
      const { getMessage } = await import('../../services/list-messages.js');
      return messageToWire(await getMessage(context, tenant, args.id));
    });
    if (!this.jsonEnabled()) printMessage(message);
    return { ok: true, ...message };
  }
}

function printMessage({ recipients, ...message }: MessageWire): void {
  const time = (ts: number | null): string | null => (ts === null ? null : formatTime(ts * 1000));
  printRecord({
    ...message,
    created_at: formatTime(Date.parse(message.created_at)),
    deferred_ts: time(message.deferred_ts),
    sent_ts: time(message.sent_ts),
    error_ts: time(message.error_ts),
    next_attempt_ts: time(message.next_attempt_ts),
    expires_ts: time(message.expires_ts),
  });
  process.stdout.write('\n');
  printTable(recipients, [
    { header: 'RECIPIENT', value: (recipient) => recipient.address },
    { header: 'STATUS', value: (recipient) => recipient.status },
    { header: 'CODE', value: (recipient) => recipient.code, align: 'right' },
    { header: 'REPLY', value: (recipient) => recipient.reply },
    { header: 'AT', value: (recipient) => time(recipient.ts) },
  ]);
}

import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { formatTime, printRecord, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import {
  type ExplainedMessageWire,
  eventToWire,
  explainedToWire,
  type MessageEventWire,
} from '../../core/wire.js';

/** So much of the history is shown: the newest. */
const EVENTS_SHOWN = 20;

type Shown = ExplainedMessageWire & { events: MessageEventWire[] };

/** Shows one message, what holds it, what became of each recipient and what happened to it last. */
export default class MessagesShow extends TenantCommand {
  static override summary = 'Show a message, what holds it, each recipient, and its history.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme messages show order-4711'];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };

  override async run(): Promise<{ ok: true } & Shown> {
    const { args, flags } = await this.parse(MessagesShow);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const message = await withServer(server, async (context): Promise<Shown> => {
      const [{ explainOne }, { lastMessageEvents }, { sendingState }] = await Promise.all([
        import('../../services/explain-message.js'),
        import('../../services/message-events.js'),
        import('../../services/sending-state.js'),
      ]);
      const sending = sendingState(server.name, server.directory, process.env, context.now());
      const { message, explanation } = await explainOne(context, tenant, args.id, sending);
      const events = await lastMessageEvents(context, tenant, args.id, EVENTS_SHOWN);
      return { ...explainedToWire(message, explanation), events: events.map(eventToWire) };
    });
    if (!this.jsonEnabled()) printMessage(message);
    return { ok: true, ...message };
  }
}

function printMessage({ recipients, hold, events, ...message }: Shown): void {
  const time = (ts: number | null): string | null => (ts === null ? null : formatTime(ts * 1000));
  printRecord({
    ...message,
    created_at: formatTime(Date.parse(message.created_at)),
    deferred_ts: time(message.deferred_ts),
    sent_ts: time(message.sent_ts),
    error_ts: time(message.error_ts),
    next_attempt_ts: time(message.next_attempt_ts),
    expires_ts: time(message.expires_ts),
    held_by: hold?.gate,
    held_until: hold === null || hold.gate === 'none' ? null : time(hold.until_ts),
    because: hold?.reason,
  });
  process.stdout.write('\n');
  printTable(recipients, [
    { header: 'RECIPIENT', value: (recipient) => recipient.address },
    { header: 'STATUS', value: (recipient) => recipient.status },
    { header: 'CODE', value: (recipient) => recipient.code, align: 'right' },
    { header: 'REPLY', value: (recipient) => recipient.reply },
    { header: 'AT', value: (recipient) => time(recipient.ts) },
  ]);
  if (events.length === 0) return;
  process.stdout.write('\n');
  printTable(events, [
    { header: 'AT', value: (event) => time(event.event_ts) },
    { header: 'EVENT', value: (event) => event.event_type },
    { header: 'DETAILS', value: ({ event_data }) => JSON.stringify(event_data) },
  ]);
}

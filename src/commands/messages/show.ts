import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { explainHere } from '../../cli/explain.js';
import { holdSentence } from '../../cli/hold.js';
import { formatTime, printRecord, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import {
  type EventWire,
  eventToWire,
  type HoldWire,
  holdToWire,
  type MessageWire,
  messageToWire,
} from '../../core/wire.js';

/** What is shown of one message. */
type Shown = MessageWire & { hold: HoldWire; events: EventWire[] };

/** So much of its history is shown: the last. */
const EVENTS_SHOWN = 20;

/** Shows one message, what holds it, what became of each recipient, and its history. */
export default class MessagesShow extends TenantCommand {
  static override summary = 'Show a message, what holds it, what became of each recipient, and its history.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme messages show order-4711'];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };

  override async run(): Promise<{ ok: true } & Shown> {
    const { args, flags } = await this.parse(MessagesShow);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const message = await withServer(server, async (context): Promise<Shown> => {
      const { lastEvents } = await import('../../services/message-history.js');
      const { message: found, hold } = await explainHere(server, context, tenant, args.id);
      const events = await lastEvents(context, tenant, args.id, EVENTS_SHOWN);
      return { ...messageToWire(found), hold: holdToWire(hold), events: events.map(eventToWire) };
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
    ...(hold === null ? {} : { held_by: holdSentence(hold) }),
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
    { header: 'DETAIL', value: (event) => detailOf(event) },
  ]);
}

function detailOf({ event_data: data }: EventWire): string {
  return Object.entries(data)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`)
    .join('; ');
}

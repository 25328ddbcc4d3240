import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { escapeControl, formatTime } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import type { Explanation } from '../../core/hold.js';
import type { MessageStatus } from '../../core/types.js';
import { type HoldWire, holdToWire } from '../../core/wire.js';

/** Says what holds a message and when it will go. */
export default class MessagesExplain extends TenantCommand {
  static override summary = 'Say what holds a message and when it will go.';
  static override description =
    'Several things may hold a message at once: the one that lasts longest, or that needs a person, comes first.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme messages explain order-4711'];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };

  override async run(): Promise<{ ok: true; id: string; status: MessageStatus; hold: HoldWire }> {
    const { args, flags } = await this.parse(MessagesExplain);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const { message, explanation } = await withServer(server, async (context) => {
      const [{ explainOne }, { sendingState }] = await Promise.all([
        import('../../services/explain-message.js'),
        import('../../services/sending-state.js'),
      ]);
      const sending = sendingState(server.name, server.directory, process.env, context.now());
      return await explainOne(context, tenant, args.id, sending);
    });
    const { id, status } = message;
    if (!this.jsonEnabled())
      process.stdout.write(`${escapeControl(id)} is ${status}. ${sentences(explanation)}`);
    return { ok: true, id, status, hold: holdToWire(explanation) };
  }
}

function sentences({ gates }: Explanation): string {
  const lines = gates.map(({ gate, until, reason }, i) => {
    const when = until === null || gate === 'none' ? '' : ` That ends at ${formatTime(until)}.`;
    return `${i === 0 ? '' : 'Also: '}${escapeControl(reason)}${when}\n`;
  });
  return lines.join('');
}

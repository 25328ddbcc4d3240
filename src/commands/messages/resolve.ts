import { string } from '@oclif/core/args';
import { boolean, string as stringFlag } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { escapeControl } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import { type MessageWire, messageToWire } from '../../core/wire.js';

const OUTCOMES = ['sent', 'retry', 'error'] as const;

/** Says what became of an uncertain message. */
export default class MessagesResolve extends TenantCommand {
  static override summary = 'Say what became of an uncertain message.';
  static override description =
    'The server may or may not have it: look there (its log, the recipient), then say so. --retry sends it again with the same Message-ID.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme messages resolve order-4711 --sent',
    '<%= config.bin %> myserver acme messages resolve order-4711 --error --reason "Not in the log of the relay"',
  ];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };
  static override flags = {
    sent: boolean({ summary: 'The server has it.' }),
    retry: boolean({ summary: 'The server has not: send it again.' }),
    error: boolean({ summary: 'The server has not: give it up.' }),
    reason: stringFlag({ summary: 'For its history and the audit trail.', helpValue: 'TEXT' }),
  };

  override async run(): Promise<{ ok: true } & MessageWire> {
    const { args, flags } = await this.parse(MessagesResolve);
    const [outcome, ...others] = OUTCOMES.filter((each) => flags[each]);
    if (outcome === undefined || others.length > 0)
      throw new MailProxyError('usage', 'Say what became of it: add one of --sent, --retry and --error.');
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const resolution = { outcome, reason: flags.reason };
    const message = await withKey<MessageWire>(
      server,
      async (context) => {
        const { resolveMessage } = await import('../../services/resolve-message.js');
        return messageToWire(await resolveMessage(context, tenant, args.id, resolution));
      },
      (client) => client.resolveMessage(tenant, args.id, resolution),
    );
    if (!this.jsonEnabled())
      process.stdout.write(`Resolved message ${escapeControl(args.id)}: it is ${message.status} now.\n`);
    return { ok: true, ...message };
  }
}

import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { explainHere } from '../../cli/explain.js';
import { holdSentence } from '../../cli/hold.js';
import { escapeControl } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { type HoldWire, holdToWire } from '../../core/wire.js';

/** Says what holds a message and when it will go. */
export default class MessagesExplain extends TenantCommand {
  static override summary = 'Say what holds a message and when it will go.';
  static override description =
    'Looks at everything that can hold it: its time, suspensions, its account and its breaker, rate limits, and what goes before it.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme messages explain order-4711'];
  static override args = { id: string({ description: 'Id of the message.', required: true }) };

  override async run(): Promise<{ ok: true; id: string; status: string; hold: HoldWire }> {
    const { args, flags } = await this.parse(MessagesExplain);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const { message, hold } = await withServer(server, (context) =>
      explainHere(server, context, tenant, args.id),
    );
    const wire = holdToWire(hold);
    if (!this.jsonEnabled()) {
      const lines = wire === null ? [hold.reason] : [holdSentence(wire), ...others(wire)];
      for (const line of lines) process.stdout.write(`${escapeControl(line)}\n`);
    }
    return { ok: true, id: message.id, status: message.status, hold: wire };
  }
}

function others(hold: NonNullable<HoldWire>): string[] {
  return hold.gates.filter(({ gate }) => gate !== hold.gate).map((other) => `Also: ${holdSentence(other)}`);
}

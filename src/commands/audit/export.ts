import { string } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { withServer } from '../../cli/with-server.js';
import { parseDuration } from '../../core/duration.js';
import { MailProxyError } from '../../core/errors.js';

/** Prints the whole audit trail as JSON lines, and can archive what is old. */
export default class AuditExport extends ServerCommand {
  static override summary = 'Print the audit trail as JSON lines, oldest first.';
  static override description =
    'With --archive-older-than the records of before are taken out of the database after they were written to --out; a signed checkpoint stands for them, so that the rest verifies as before.';
  static override examples = [
    '<%= config.bin %> myserver audit export > audit.jsonl',
    '<%= config.bin %> myserver audit export --out audit-2026.jsonl --archive-older-than 90d',
  ];
  static override flags = {
    out: string({ summary: 'Write to a new file (mode 0600) instead of stdout.', helpValue: 'FILE' }),
    'archive-older-than': string({
      summary: 'Afterwards take older records out of the database; needs --out.',
      helpValue: 'DURATION',
      dependsOn: ['out'],
    }),
  };

  override async run(): Promise<void> {
    const { flags } = await this.parse(AuditExport);
    const server = await this.requireServer(flags.server);
    const older = flags['archive-older-than'];
    const age = older === undefined ? undefined : parseDuration(older, '--archive-older-than');
    await withServer(server, async (context) => {
      const { exportAudit } = await import('../../services/list-audit.js');
      if (flags.out === undefined) {
        for await (const lines of exportAudit(context)) process.stdout.write(lines);
        return;
      }
      const { archiveAudit, writeAudit } = await import('../../services/archive-audit.js');
      const { written, lastSeq } = await writeAudit(context, flags.out);
      this.note(`Wrote ${written} record(s) to ${flags.out}.`);
      if (age === undefined) return;
      if (!context.store.audit.unlocked) {
        throw new MailProxyError(
          'key_missing',
          'The encryption key is not available here: nothing was archived.',
        );
      }
      const archived = await archiveAudit(context, context.now() - age, lastSeq);
      this.note(`Took ${archived} record(s) out of the database; a signed checkpoint stands for them.`);
    });
  }
}

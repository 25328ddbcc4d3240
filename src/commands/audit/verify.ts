import { string } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { withKey } from '../../cli/with-server.js';
import type { AuditVerificationAnswer } from '../../client/index.js';
import { MailProxyError } from '../../core/errors.js';

/** Walks the audit trail and says whether it is as it was written. */
export default class AuditVerify extends ServerCommand {
  static override summary = 'Say whether the audit trail is as it was written, and where not.';
  static override description =
    'Finds a record that was edited, deleted, inserted or moved. A head from the log (Audit head 12:3fa9…) proves besides that the tail was not cut.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver audit verify',
    '<%= config.bin %> myserver audit verify --head 12:3fa9…',
  ];
  static override flags = {
    head: string({ summary: 'A head that was shipped away with the log.', helpValue: 'SEQ:HASH' }),
  };

  override async run(): Promise<AuditVerificationAnswer> {
    const { flags } = await this.parse(AuditVerify);
    const server = await this.requireServer(flags.server);
    if (flags.head !== undefined && !/^(\d{1,15}:)?[0-9a-f]{64}$/i.test(flags.head)) {
      throw new MailProxyError(
        'usage',
        'A head looks as the log shows it: a number, a colon, and 64 hexadecimal digits.',
      );
    }
    const result = await withKey<AuditVerificationAnswer>(
      server,
      async ({ store, keyring }) => {
        const { verifyAudit } = await import('../../services/verify-audit.js');
        return await verifyAudit(store, keyring, flags.head);
      },
      (client) => client.verifyAudit(flags.head),
    );
    if (result.problem !== null) throw new MailProxyError('audit_broken', result.problem);
    if (!this.jsonEnabled()) {
      process.stdout.write(
        `The audit trail is as it was written: ${result.checked} record(s), head ${result.head}.\n`,
      );
      if (result.unverifiable > 0) {
        this.warn(`${result.unverifiable} record(s) of older chains cannot be verified: their key is lost.`);
      }
    }
    return result;
  }
}

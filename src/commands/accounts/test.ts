import { string } from '@oclif/core/args';
import { TenantCommand } from '../../cli/base-command.js';
import { escapeControl, paint } from '../../cli/output.js';
import { withKey } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';

/** Connects to an account's server, upgrades and logs in; sends nothing. */
export default class AccountsTest extends TenantCommand {
  static override summary = 'Connect, secure the connection and log in, without sending anything.';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme accounts test smtp1'];
  static override args = { id: string({ description: 'Id of the account.', required: true }) };

  override async run(): Promise<{ ok: true; steps: unknown[] }> {
    const { args, flags } = await this.parse(AccountsTest);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const report = await withKey(
      server,
      async (context) => {
        const [{ testAccount }, { createDestinationGuard }, { parseAllowance }] = await Promise.all([
          import('../../services/test-account.js'),
          import('../../delivery/destination-guard.js'),
          import('../../core/destination.js'),
        ]);
        const guard = createDestinationGuard(parseAllowance(process.env.MAIL_PROXY_ALLOW_PRIVATE));
        return await testAccount(context, tenant, args.id, guard);
      },
      (client) => client.testAccount(tenant, args.id),
    );
    if (!this.jsonEnabled()) {
      for (const { name, status, sentence } of report.steps) {
        const mark =
          status === 'ok'
            ? paint('green', 'ok     ')
            : status === 'failed'
              ? paint('red', 'FAILED ')
              : 'skipped';
        process.stdout.write(`${mark} ${name.padEnd(8)} ${escapeControl(sentence)}\n`);
      }
    }
    const failed = report.steps.find(({ status }) => status === 'failed');
    if (failed !== undefined) {
      throw new MailProxyError(
        'account_test_failed',
        `The account "${args.id}" failed at ${failed.name}: ${failed.sentence}`,
      );
    }
    return { ok: true, steps: report.steps };
  }
}

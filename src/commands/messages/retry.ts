import { string } from '@oclif/core/args';
import { boolean, string as stringFlag } from '@oclif/core/flags';
import { TenantCommand } from '../../cli/base-command.js';
import { escapeControl } from '../../cli/output.js';
import { createProgress } from '../../cli/progress.js';
import { withServer } from '../../cli/with-server.js';
import { MailProxyError } from '../../core/errors.js';
import type { ServiceContext } from '../../services/context.js';
import type { RetriedMessages } from '../../services/retry-messages.js';
import type { RetryFilter } from '../../store/retry-messages.js';

/** Has messages tried again at once. */
export default class MessagesRetry extends TenantCommand {
  static override summary = 'Try messages again at once: those named, or all that fit.';
  static override description =
    'One that waits is due now. One that ended in error is tried again for the recipients that failed, never for those that have it. With --status deferred, messages that wait for the time they were given are left alone.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver acme messages retry order-4711',
    '<%= config.bin %> myserver acme messages retry --status error --account smtp1 --dry-run',
    '<%= config.bin %> myserver acme messages retry --status deferred --batch newsletter-7',
  ];
  static override args = {
    id: string({ description: 'Ids of the messages.', required: false, multiple: true }),
  };
  static override flags = {
    status: stringFlag({ summary: 'All in this state, in place of ids.', options: ['error', 'deferred'] }),
    account: stringFlag({ summary: 'Of them only those of this account.', helpValue: 'ID' }),
    batch: stringFlag({ summary: 'Of them only those of this batch.', helpValue: 'CODE' }),
    'dry-run': boolean({ summary: 'With --status: count them, and change nothing.' }),
  };

  override async run(): Promise<{ ok: true; dry_run: boolean } & RetriedMessages> {
    const { args, flags } = await this.parse(MessagesRetry);
    const ids = args.id ?? [];
    const isFiltered = flags.account !== undefined || flags.batch !== undefined || flags['dry-run'] === true;
    if (ids.length > 0 === (flags.status !== undefined) || (isFiltered && flags.status === undefined)) {
      throw new MailProxyError(
        'usage',
        'Name messages by their ids, or all of a state with --status (narrowed by --account, --batch and --dry-run).',
      );
    }
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const dryRun = flags['dry-run'] === true;
    const status = flags.status as RetryFilter['status'] | undefined;
    const filter = status && { status, accountId: flags.account, batchCode: flags.batch };
    const retried = await withServer(server, async (context) => {
      if (filter !== undefined) return await this.#retryAll(context, tenant, filter, dryRun);
      const { retryMessages } = await import('../../services/retry-messages.js');
      return await retryMessages(context, tenant, ids);
    });
    if (!this.jsonEnabled()) this.#print(retried, dryRun);
    if (retried.not_found.length > 0) process.exitCode = 3;
    return { ok: true, dry_run: dryRun, ...retried };
  }

  async #retryAll(
    context: ServiceContext,
    tenant: string,
    filter: RetryFilter,
    dryRun: boolean,
  ): Promise<RetriedMessages> {
    const { countRetriable, retryMatching } = await import('../../services/retry-messages.js');
    const total = await countRetriable(context, tenant, filter.status);
    const progress = createProgress('Trying messages again', this.jsonEnabled());
    try {
      const onProgress = (examined: number) => progress.update(examined, total);
      const { next: _next, ...retried } = await retryMatching(context, tenant, filter, {
        dryRun,
        onProgress,
      });
      return retried;
    } finally {
      progress.end();
    }
  }

  #print({ retried, not_found, skipped, skipped_count }: RetriedMessages, dryRun: boolean): void {
    process.stdout.write(
      dryRun ? `${retried} message(s) would be tried again.\n` : `${retried} message(s) are tried again.\n`,
    );
    for (const id of not_found) this.note(`Not found: ${escapeControl(id)}`);
    for (const { id, reason } of skipped.slice(0, 20))
      this.note(`Left alone: ${escapeControl(id)}. ${reason}`);
    if (skipped_count > 20) this.note(`Left alone: ${skipped_count - 20} more, see --json.`);
  }
}

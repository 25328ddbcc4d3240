import { TenantCommand } from '../cli/base-command.js';
import { requireDaemon } from '../cli/with-server.js';

/** Tells the daemon to try a tenant's messages now. */
export default class RunNow extends TenantCommand {
  static override summary = 'Try what waits for a tenant’s accounts now.';
  static override description =
    'Needs the running daemon and GMP_API_TOKEN (the admin token or the tenant’s).';
  static override enableJsonFlag = true;
  static override examples = ['<%= config.bin %> myserver acme run-now'];

  override async run(): Promise<{ ok: true }> {
    const { flags } = await this.parse(RunNow);
    const server = await this.requireServer(flags.server);
    const tenant = await this.resolveTenant(server, flags.tenant);
    const client = await requireDaemon(server);
    await client.runNow(tenant);
    const { scheduler_active: isSending } = await client.status(tenant);
    if (!isSending) this.note('Sending is switched off (GMP_SCHEDULER_ACTIVE): nothing is sent now.');
    if (!this.jsonEnabled()) process.stdout.write(`The daemon tries the messages of ${tenant} now.\n`);
    return { ok: true };
  }
}

import { boolean, integer, string } from '@oclif/core/flags';
import { ServerCommand } from '../../cli/base-command.js';
import { type Column, formatTime, printCsv, printTable } from '../../cli/output.js';
import { withServer } from '../../cli/with-server.js';
import { AUDIT_EVENT_NAMES, type AuditEventName } from '../../core/audit.js';
import { parseDuration } from '../../core/duration.js';
import { MailProxyError } from '../../core/errors.js';
import { type AuditWire, auditToWire } from '../../core/wire.js';

const COLUMNS: Column<AuditWire>[] = [
  { header: 'SEQ', value: (event) => event.seq, align: 'right' },
  { header: 'AT', value: (event) => formatTime(Date.parse(event.created_at)) },
  { header: 'EVENT', value: (event) => event.event },
  { header: 'ACTOR', value: (event) => event.actor },
  { header: 'ADDRESS', value: (event) => event.address },
  { header: 'TENANT', value: (event) => event.tenant_id },
  { header: 'SUBJECT', value: (event) => event.subject },
  {
    header: 'DETAIL',
    value: (event) => (Object.keys(event.detail).length === 0 ? '' : JSON.stringify(event.detail)),
  },
];

interface Listed {
  ok: true;
  events: AuditWire[];
  next_cursor?: string;
}

/** Lists the audit trail, newest first. */
export default class AuditList extends ServerCommand {
  static override summary = 'List the audit trail, newest first.';
  static override enableJsonFlag = true;
  static override examples = [
    '<%= config.bin %> myserver audit list',
    '<%= config.bin %> myserver audit list --event auth.failed --since 24h',
  ];
  static override flags = {
    event: string({ summary: 'Only events of this name.', options: [...AUDIT_EVENT_NAMES] }),
    'for-tenant': string({ summary: 'Only events about this tenant.', helpValue: 'ID' }),
    actor: string({ summary: 'Only events of this actor, such as os:alice or admin.', helpValue: 'ACTOR' }),
    since: string({ summary: 'Only events of the last time, such as 24h or 7d.', helpValue: 'DURATION' }),
    limit: integer({ summary: 'Most events to list.', default: 100, min: 1, max: 1000 }),
    cursor: integer({ summary: 'Go on where the list before ended.', min: 1, helpValue: 'CURSOR' }),
    csv: boolean({ summary: 'Print comma-separated values.' }),
  };

  override async run(): Promise<Listed> {
    const { flags } = await this.parse(AuditList);
    if (flags.csv && this.jsonEnabled()) throw new MailProxyError('usage', 'Give either --csv or --json.');
    const server = await this.requireServer(flags.server);
    const since = flags.since === undefined ? undefined : Date.now() - parseDuration(flags.since, '--since');
    const { items, nextCursor } = await withServer(server, async (context) => {
      const { listAudit } = await import('../../services/list-audit.js');
      const filter = {
        ...(flags.event === undefined ? {} : { event: flags.event as AuditEventName }),
        ...(flags['for-tenant'] === undefined ? {} : { tenantId: flags['for-tenant'] }),
        ...(flags.actor === undefined ? {} : { actor: flags.actor }),
        ...(since === undefined ? {} : { since }),
      };
      const cursor = flags.cursor === undefined ? {} : { cursor: String(flags.cursor) };
      return await listAudit(context, filter, { limit: flags.limit, ...cursor });
    });
    const events = items.map(auditToWire);
    if (flags.csv) printCsv(events, COLUMNS);
    else if (!this.jsonEnabled() && events.length > 0) printTable(events, COLUMNS);
    else if (!this.jsonEnabled()) this.note('No event fits.');
    if (!this.jsonEnabled() && nextCursor !== undefined)
      this.note(`There are more: add --cursor ${nextCursor}`);
    return { ok: true, events, ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }) };
  }
}

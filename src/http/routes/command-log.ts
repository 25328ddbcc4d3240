import { z } from 'zod';
import { AUDIT_EVENT_NAMES } from '../../core/audit.js';
import { wireIdSchema } from '../../core/schemas/account.js';
import { timestampSchema } from '../../core/schemas/message.js';
import { parseTimestamp } from '../../core/time.js';
import { auditToWire } from '../../core/wire.js';
import { exportAudit, listAudit } from '../../services/list-audit.js';
import { verifyAudit } from '../../services/verify-audit.js';
import { auditAnswer, okField } from '../answers.js';
import { nextCursorSchema, numericCursor, pageQuery } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const head = z
  .string()
  .regex(/^(\d{1,15}:)?[0-9a-fA-F]{64}$/, 'Must be a head as the log shows it, such as 12:3fa9….')
  .describe('A head that was shipped away: proves that the tail was not cut since.');
const time = timestampSchema.optional();
const at = (value: string | number | undefined): number | undefined =>
  value === undefined
    ? undefined
    : parseTimestamp(/^\d+(\.\d+)?$/.test(String(value)) ? Number(value) : value);

const filters = {
  tenant_id: wireIdSchema.optional(),
  event: z.enum(AUDIT_EVENT_NAMES).optional(),
  actor: z.string().max(200).optional().describe('Such as `os:alice`, `admin`, `tenant:acme/default`.'),
  since: time,
  until: time,
};

interface Filters {
  tenant_id?: string | undefined;
  event?: (typeof AUDIT_EVENT_NAMES)[number] | undefined;
  actor?: string | undefined;
  since?: string | number | undefined;
  until?: string | number | undefined;
}

function filterOf({ tenant_id: tenantId, event, actor, since, until }: Filters) {
  const [from, to] = [at(since), at(until)];
  return {
    ...(tenantId === undefined ? {} : { tenantId }),
    ...(event === undefined ? {} : { event }),
    ...(actor === undefined ? {} : { actor }),
    ...(from === undefined ? {} : { since: from }),
    ...(to === undefined ? {} : { until: to }),
  };
}

/** The audit trail. */
export const commandLogRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/command-log',
    who: 'admin',
    summary: 'List the audit trail, newest first.',
    query: z.object({ ...filters, ...pageQuery }),
    answer: z.object({ ...okField, events: z.array(auditAnswer), next_cursor: nextCursorSchema }),
    async handler({ context, query }) {
      const cursor = numericCursor(query.cursor);
      const { items, nextCursor } = await listAudit(context, filterOf(query), {
        limit: query.limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return {
        ok: true as const,
        events: items.map(auditToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/command-log/export',
    who: 'admin',
    summary: 'The whole audit trail in the order of writing, one JSON object a line.',
    answer: auditAnswer,
    async handler({ context }) {
      const lines = exportAudit(context);
      const body = new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { value, done } = await lines.next();
          if (done === true) controller.close();
          else controller.enqueue(new TextEncoder().encode(value));
        },
        async cancel() {
          await lines.return(undefined);
        },
      });
      return new Response(body, { headers: { 'Content-Type': 'application/x-ndjson; charset=utf-8' } });
    },
  }),
  defineRoute({
    method: 'post',
    path: '/command-log/verify',
    who: 'admin',
    summary: 'Walk the whole audit trail and say whether it is as it was written.',
    body: z.strictObject({ head: head.optional() }).optional(),
    answer: z.object({
      ok: z.boolean(),
      checked: z.int(),
      unverifiable: z.int(),
      head: z.string().nullable(),
      problem: z.string().nullable(),
    }),
    errors: ['key_missing'],
    handler: ({ context, body }) => verifyAudit(context.store, context.keyring, body?.head),
  }),
];

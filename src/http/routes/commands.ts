import { z } from 'zod';
import { wireIdSchema } from '../../core/schemas/account.js';
import { cleanupMessages } from '../../services/cleanup-messages.js';
import { getTenant } from '../../services/tenants.js';
import { okAnswer, okField } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

/** Commands to the running daemon. */
export const commandRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/commands/run-now',
    who: 'any-token',
    summary:
      "Send and report what is due now: the tenant's own, or for an admin who names none, everybody's.",
    body: z.strictObject({ tenant_id: wireIdSchema.nullish() }).optional(),
    answer: okAnswer,
    errors: ['tenant_not_found'],
    async handler({ deps, context, tenantId }) {
      if (tenantId !== undefined) await getTenant(context, tenantId);
      deps.runNow(tenantId);
      return { ok: true as const };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/commands/cleanup-messages',
    who: 'tenant',
    summary: 'Remove messages that were sent, or failed, so long ago.',
    body: z
      .strictObject({
        tenant_id: wireIdSchema.nullish(),
        older_than_seconds: z
          .int()
          .min(0)
          .max(100 * 365 * 86_400)
          .nullish()
          .describe('The retention time of the server when left out.'),
      })
      .optional(),
    answer: z.object({ ...okField, removed: z.int() }),
    errors: ['tenant_not_found'],
    async handler({ deps, context, tenantId, body }) {
      const seconds = body?.older_than_seconds;
      const olderThan = seconds === undefined || seconds === null ? deps.retention : seconds * 1000;
      return { ok: true as const, removed: await cleanupMessages(context, tenantId, olderThan) };
    },
  }),
];

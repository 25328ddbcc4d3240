import { z } from 'zod';
import { wireIdSchema } from '../../core/schemas/account.js';
import { getTenant } from '../../services/tenants.js';
import { okAnswer } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

/** Commands to the running daemon. */
export const commandRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/commands/run-now',
    who: 'any-token',
    summary: "Send what is due now: the tenant's own, or for an admin who names none, everybody's.",
    body: z.strictObject({ tenant_id: wireIdSchema.nullish() }).optional(),
    answer: okAnswer,
    errors: ['tenant_not_found'],
    async handler({ deps, context, tenantId }) {
      if (tenantId !== undefined) await getTenant(context, tenantId);
      deps.runNow(tenantId);
      return { ok: true as const };
    },
  }),
];

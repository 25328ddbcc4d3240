import { z } from 'zod';
import { activateSending, suspendSending } from '../../services/suspend-sending.js';
import { okField } from '../answers.js';
import { messageName, queryBoolean } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const batchCode = messageName.optional().describe('One batch, compared letter by letter; all when left out.');

const answer = z.object({
  ...okField,
  tenant_id: z.string(),
  batch_code: z.string().nullable(),
  suspended_batches: z.array(z.string()).describe('What is suspended now; `*` is the whole tenant.'),
  tenant_suspended: z.boolean().describe('Whether the whole tenant is suspended.'),
  pending_messages: z.int().describe('Unsent messages of the batch that was named, or else of the tenant.'),
});

/** Suspending and activating the sending of a tenant or a batch. */
export const suspensionRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/commands/suspend',
    who: 'tenant',
    summary: 'Stop the sending of a tenant or of one batch, at once.',
    description:
      'Also what is claimed already, unless its body is being handed over. Messages are still accepted, and their time to expire goes on.',
    query: z.object({ batch_code: batchCode }),
    answer,
    errors: ['tenant_not_found', 'key_missing'],
    async handler({ deps, context, tenantId, query }) {
      const suspension = await suspendSending(context, tenantId, query.batch_code);
      deps.changed();
      return { ok: true as const, ...suspension };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/commands/activate',
    who: 'tenant',
    summary: 'Send what was suspended: one batch, or everything.',
    description:
      'Without a batch the suspensions of single batches end too, unless `keep_batches` is true. One batch of a tenant that is suspended as a whole cannot be activated.',
    query: z.object({
      batch_code: batchCode,
      keep_batches: queryBoolean
        .optional()
        .describe('End the suspension of the whole tenant alone; not together with `batch_code`.'),
    }),
    answer: answer.extend({
      activated_batches: z.array(z.string()).describe('Batches whose own suspension ended now.'),
    }),
    errors: ['tenant_not_found', 'tenant_suspended', 'key_missing'],
    async handler({ deps, context, tenantId, query }) {
      const activated = await activateSending(context, tenantId, {
        batchCode: query.batch_code,
        keepBatches: query.keep_batches,
      });
      deps.changed();
      return { ok: true as const, ...activated };
    },
  }),
];

import { z } from 'zod';
import { MailProxyError } from '../../core/errors.js';
import { wireIdSchema } from '../../core/schemas/account.js';
import { activateSending, suspendSending } from '../../services/suspend-sending.js';
import { okField } from '../answers.js';
import { messageName, queryBoolean } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const batchCode = messageName.optional().describe('One batch, compared letter by letter; all when left out.');

/** What the query may say can be said in a body too; where both do, they have to agree. */
const body = z
  .strictObject({ tenant_id: wireIdSchema.nullish(), batch_code: messageName.nullish() })
  .optional();

/** @throws MailProxyError `validation_failed` when the query and the body name different things. */
function oneOf<T>(name: string, inQuery: T | undefined, inBody: T | null | undefined): T | undefined {
  const said = inBody ?? undefined;
  if (inQuery !== undefined && said !== undefined && inQuery !== said) {
    const message = 'The query and the body name different ones: say it once.';
    throw new MailProxyError('validation_failed', `The request is not valid: ${name}: ${message}`, {
      issues: [{ path: name, message }],
    });
  }
  return inQuery ?? said;
}

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
    body,
    answer,
    errors: ['tenant_not_found', 'key_missing'],
    async handler({ deps, context, tenantId, query, body }) {
      const code = oneOf('batch_code', query.batch_code, body?.batch_code);
      const suspension = await suspendSending(context, tenantId, code);
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
    body: body.unwrap().extend({ keep_batches: z.boolean().nullish() }).optional(),
    answer: answer.extend({
      activated_batches: z.array(z.string()).describe('Batches whose own suspension ended now.'),
    }),
    errors: ['tenant_not_found', 'tenant_suspended', 'key_missing'],
    async handler({ deps, context, tenantId, query, body }) {
      const activated = await activateSending(context, tenantId, {
        batchCode: oneOf('batch_code', query.batch_code, body?.batch_code),
        keepBatches: oneOf('keep_batches', query.keep_batches, body?.keep_batches),
      });
      deps.changed();
      return { ok: true as const, ...activated };
    },
  }),
];

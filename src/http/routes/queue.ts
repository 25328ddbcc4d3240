import { z } from 'zod';
import { MailProxyError } from '../../core/errors.js';
import { RETRY_SKIPS, type RetrySkip } from '../../core/retry.js';
import { wireIdSchema } from '../../core/schemas/account.js';
import { messageToWire } from '../../core/wire.js';
import { deleteMessages } from '../../services/delete-messages.js';
import { resolveMessage } from '../../services/resolve-message.js';
import { retryMatching, retryMessages } from '../../services/retry-messages.js';
import { messageAnswer, okField } from '../answers.js';
import { messageName, nextCursorSchema, numericCursor } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const ids = z.array(messageName).min(1).max(1000).describe('1 to 1,000 ids.');
const tenant = { tenant_id: wireIdSchema.nullish() };
/** So many messages one request looks at; whoever wants more goes on with the cursor. */
const MOST_EXAMINED = 20_000;

const retryBody = z.strictObject({
  ids: ids.nullish(),
  filter: z
    .strictObject({
      status: z.enum(['error', 'deferred']),
      account_id: wireIdSchema.nullish(),
      batch_code: messageName.nullish(),
    })
    .nullish()
    .describe('All that fit, in place of `ids`.'),
  cursor: z.string().min(1).max(255).nullish().describe('`next_cursor` of the answer before.'),
  dry_run: z.boolean().nullish().describe('With a filter: count, and change nothing.'),
  ...tenant,
});

function refuse(path: string, message: string): never {
  throw new MailProxyError('validation_failed', `The body of the request is not valid: ${path}: ${message}`, {
    issues: [{ path, message }],
  });
}

/** What people do to queued messages. */
export const queueRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/commands/delete-messages',
    who: 'tenant',
    summary: 'Delete messages for good; unsent ones are never sent.',
    description:
      'What the server may have already is left alone and listed in `in_progress`: it is being handed over, or uncertain.',
    body: z.strictObject({ ids, ...tenant }),
    answer: z.object({
      ...okField,
      removed: z.int().describe('How many were deleted.'),
      not_found: z.array(z.string()),
      in_progress: z.array(z.string()),
    }),
    errors: ['tenant_not_found', 'key_missing'],
    async handler({ deps, context, tenantId, body }) {
      const deleted = await deleteMessages(context, tenantId, body.ids);
      if (deleted.removed > 0) deps.changed();
      return { ok: true as const, ...deleted };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/commands/retry-messages',
    who: 'tenant',
    summary: 'Try messages again at once: those named, or all that fit a filter.',
    description:
      'One that waits is due now. One that ended in error is tried again for the recipients that failed, never for those that have it. A filter leaves messages alone that wait for the time they were given.',
    body: retryBody,
    answer: z.object({
      ...okField,
      retried: z.int().describe('How many are tried again.'),
      not_found: z.array(z.string()),
      skipped: z
        .array(
          z.object({
            id: z.string(),
            code: z.enum(Object.keys(RETRY_SKIPS) as [RetrySkip, ...RetrySkip[]]),
            reason: z.string(),
          }),
        )
        .describe('At most 1,000 of those that were left as they are.'),
      skipped_count: z.int(),
      next_cursor: nextCursorSchema,
    }),
    errors: ['tenant_not_found'],
    async handler({ deps, context, tenantId, body }) {
      if (body.ids) {
        if (body.filter) refuse('filter', 'It stands in place of ids: give one of them.');
        if (body.cursor || body.dry_run) refuse('ids', 'Neither cursor nor dry_run goes with them.');
        const retried = await retryMessages(context, tenantId, body.ids);
        if (retried.retried > 0) deps.wake();
        return { ok: true as const, ...retried };
      }
      if (!body.filter) refuse('ids', 'Give ids or a filter.');
      const { status, account_id, batch_code } = body.filter;
      const { next, ...retried } = await retryMatching(
        context,
        tenantId,
        { status, accountId: account_id ?? undefined, batchCode: batch_code ?? undefined },
        {
          after: Number(numericCursor(body.cursor ?? undefined) ?? 0),
          mostExamined: MOST_EXAMINED,
          dryRun: body.dry_run === true,
        },
      );
      if (retried.retried > 0 && body.dry_run !== true) deps.wake();
      return {
        ok: true as const,
        ...retried,
        ...(next === undefined ? {} : { next_cursor: String(next) }),
      };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/messages/{id}/resolve',
    who: 'tenant',
    summary: 'Say what became of an uncertain message.',
    description:
      '`sent`: the server has it. `retry`: it has not, send it again with the same Message-ID. `error`: give it up.',
    params: z.object({ id: messageName }),
    body: z.strictObject({
      outcome: z.enum(['sent', 'retry', 'error']),
      reason: messageName.nullish().describe('For the history and the audit trail.'),
      ...tenant,
    }),
    answer: messageAnswer.extend(okField),
    errors: [
      'tenant_not_found',
      'message_not_found',
      'not_uncertain',
      'content_gone',
      'account_not_found',
      'key_missing',
    ],
    async handler({ deps, context, tenantId, params, body }) {
      const resolution = { outcome: body.outcome, reason: body.reason ?? undefined };
      const message = await resolveMessage(context, tenantId, params.id, resolution);
      deps.changed();
      return { ok: true as const, ...messageToWire(message) };
    },
  }),
];

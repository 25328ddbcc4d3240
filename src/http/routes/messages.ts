import { z } from 'zod';
import { MailProxyError } from '../../core/errors.js';
import { wireIdSchema } from '../../core/schemas/account.js';
import {
  addMessagesAnswerSchema,
  addMessagesBodySchema,
  addMessagesDocSchema,
} from '../../core/schemas/message.js';
import { eventToWire, holdToWire, messageToWire } from '../../core/wire.js';
import { addMessagesOnce } from '../../services/add-messages-once.js';
import { enqueueMessages } from '../../services/enqueue-messages.js';
import { explainOf } from '../../services/explain-message.js';
import { listMessages } from '../../services/list-messages.js';
import { messageHistory } from '../../services/message-history.js';
import { tenantScope } from '../../store/scope.js';
import { eventAnswer, holdAnswer, messageAnswer, messageStatus, okField } from '../answers.js';
import { messageName as name, nextCursorSchema, numericCursor, pageQuery, queryBoolean } from '../query.js';
import { defineRoute, type Route } from '../route.js';

/** The queue. */
export const messageRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/commands/add-messages',
    who: 'any-token',
    summary: 'Queue a batch of messages; answered only after they are on disk.',
    description:
      'One bad message never stops the others: it is listed in `rejected`. A request with an `Idempotency-Key` that is sent again while the first is under way waits for it and gets its answer; a request that failed as a whole is not remembered.',
    takesIdempotencyKey: true,
    body: addMessagesBodySchema,
    bodyDoc: addMessagesDocSchema,
    answer: addMessagesAnswerSchema,
    errors: ['not_supported', 'idempotency_conflict'],
    async handler({ deps, context, tenantId, isAdmin, body, idempotency }) {
      const batch = {
        messages: body.messages,
        defaultPriority: body.default_priority ?? undefined,
        tenantId,
        anyTenant: isAdmin,
      };
      const about = tenantId === undefined ? undefined : tenantScope(tenantId);
      const adding =
        idempotency === undefined
          ? enqueueMessages(context, batch, deps.defaultPriority).then((done) => ({
              ...done,
              isKnown: false,
            }))
          : addMessagesOnce(context, batch, deps.defaultPriority, {
              ...idempotency,
              scope: isAdmin || about === undefined ? 'admin' : about,
              about,
            });
      const { queued, rejected, isKnown } = await adding.catch((error: unknown) => {
        // Some of the messages may be stored all the same, and are to be sent.
        if (!(error instanceof MailProxyError) || error.status >= 500) deps.wake();
        throw error;
      });
      if (queued > 0 && !isKnown) deps.wake();
      return { ok: true as const, queued, rejected };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/messages',
    who: 'any-token',
    summary: 'List messages, newest first.',
    query: z.object({
      status: messageStatus.optional(),
      active_only: queryBoolean.optional().describe('Only messages that are not final.'),
      account_id: wireIdSchema.optional(),
      batch_code: name.optional(),
      ...pageQuery,
    }),
    answer: z.object({ ...okField, messages: z.array(messageAnswer), next_cursor: nextCursorSchema }),
    async handler({ context, tenantId, query }) {
      const cursor = numericCursor(query.cursor);
      const { items, nextCursor } = await listMessages(
        context,
        tenantId,
        {
          activeOnly: query.active_only ?? false,
          ...(query.status === undefined ? {} : { status: query.status }),
          ...(query.account_id === undefined ? {} : { accountId: query.account_id }),
          ...(query.batch_code === undefined ? {} : { batchCode: query.batch_code }),
        },
        { limit: query.limit, ...(cursor === undefined ? {} : { cursor }) },
      );
      return {
        ok: true as const,
        messages: items.map(messageToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/messages/{id}',
    who: 'tenant',
    summary: 'Show one message with its state, its recipients and what holds it.',
    params: z.object({ id: name }),
    answer: messageAnswer.extend({ ...okField, hold: holdAnswer }),
    errors: ['message_not_found'],
    async handler({ deps, context, tenantId, params }) {
      const sending = deps.schedulerActive() ? 'active' : 'inactive';
      const { message, hold } = await explainOf(context, tenantId, params.id, sending);
      return { ok: true as const, ...messageToWire(message), hold: holdToWire(hold) };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/messages/{id}/events',
    who: 'tenant',
    summary: 'List what happened to a message, oldest first.',
    params: z.object({ id: name }),
    query: z.object(pageQuery),
    answer: z.object({ ...okField, events: z.array(eventAnswer), next_cursor: nextCursorSchema }),
    errors: ['message_not_found'],
    async handler({ context, tenantId, params, query }) {
      const cursor = numericCursor(query.cursor);
      const { items, nextCursor } = await messageHistory(context, tenantId, params.id, {
        limit: query.limit,
        ...(cursor === undefined ? {} : { cursor: String(cursor) }),
      });
      return {
        ok: true as const,
        events: items.map(eventToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
];

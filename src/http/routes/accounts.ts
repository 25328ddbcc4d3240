import { z } from 'zod';
import { accountBodySchema, accountInputFromWire, wireIdSchema } from '../../core/schemas/account.js';
import { accountToWire } from '../../core/wire.js';
import { deleteAccount, getAccount, listAccounts } from '../../services/accounts.js';
import { putAccount } from '../../services/put-account.js';
import { testAccount } from '../../services/test-account.js';
import { accountAnswer, okAnswer, okField } from '../answers.js';
import { nextCursorSchema, numericCursor, pageQuery, queryBoolean } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const params = z.object({ id: wireIdSchema });

/** SMTP accounts of a tenant. */
export const accountRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/account',
    who: 'tenant',
    summary: 'Add or replace an SMTP account.',
    description:
      'What is left out takes its default, the password apart: it stays while what it is bound to (host, port, TLS settings, user) does.',
    body: accountBodySchema,
    answer: z.object({ ...okField, id: z.string(), tenant_id: z.string() }),
    errors: ['tenant_not_found', 'secret_required', 'not_supported', 'key_missing'],
    async handler({ deps, context, tenantId, body }) {
      const account = await putAccount(context, tenantId, body.id, accountInputFromWire(body), 'replace');
      deps.changed();
      return { ok: true as const, id: account.id, tenant_id: tenantId };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/accounts',
    who: 'any-token',
    summary: 'List SMTP accounts.',
    query: z.object(pageQuery),
    answer: z.object({ ...okField, accounts: z.array(accountAnswer), next_cursor: nextCursorSchema }),
    async handler({ context, tenantId, query }) {
      const cursor = tenantId === undefined ? numericCursor(query.cursor) : query.cursor;
      const { items, nextCursor } = await listAccounts(context, tenantId, {
        limit: query.limit,
        ...(cursor === undefined ? {} : { cursor }),
      });
      return {
        ok: true as const,
        accounts: items.map(accountToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/account/{id}',
    who: 'tenant',
    summary: 'Show an SMTP account, without its password.',
    params,
    answer: accountAnswer.extend(okField),
    errors: ['account_not_found'],
    async handler({ context, tenantId, params }) {
      return { ok: true as const, ...accountToWire(await getAccount(context, tenantId, params.id)) };
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/account/{id}',
    who: 'tenant',
    summary: 'Delete an SMTP account.',
    params,
    query: z.object({
      force: queryBoolean
        .optional()
        .describe('Let its unsent messages end in error; otherwise they keep the account.'),
    }),
    answer: okAnswer,
    errors: ['account_not_found', 'account_in_use'],
    async handler({ deps, context, tenantId, params, query }) {
      await deleteAccount(context, tenantId, params.id, { force: query.force ?? false });
      deps.changed();
      return { ok: true as const };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/account/{id}/test',
    who: 'tenant',
    summary: 'Connect and log in as for sending, without sending anything.',
    params,
    body: z.strictObject({ tenant_id: wireIdSchema.nullish() }).optional(),
    answer: z.object({
      ok: z.boolean().describe('Whether the account can be used.'),
      steps: z.array(
        z.object({
          name: z.enum(['connect', 'tls', 'login']),
          status: z.enum(['ok', 'failed', 'skipped']),
          sentence: z.string(),
        }),
      ),
    }),
    errors: ['account_not_found', 'credential_unreadable', 'key_missing'],
    handler: ({ deps, context, tenantId, params }) =>
      testAccount(context, tenantId, params.id, deps.guard, deps.probe),
  }),
];

import { z } from 'zod';
import { wireIdSchema } from '../../core/schemas/account.js';
import { tenantBodySchema, tenantRequestFromWire } from '../../core/schemas/tenant.js';
import { SYNC_INTERVAL_MS } from '../../core/sync-plan.js';
import { syncStatusToWire } from '../../core/sync-status.js';
import { tenantToWire } from '../../core/wire.js';
import { putTenant } from '../../services/put-tenant.js';
import { syncStatus } from '../../services/sync-status.js';
import { deleteTenant, getTenant, listTenants } from '../../services/tenants.js';
import { okAnswer, okField, syncStatusAnswer, tenantAnswer } from '../answers.js';
import { nextCursorSchema, pageQuery, queryBoolean } from '../query.js';
import { defineRoute, type Route } from '../route.js';

const params = z.object({ id: wireIdSchema });

/** Tenants. */
export const tenantRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/tenant',
    who: 'admin',
    summary: 'Create or update a tenant.',
    description:
      'A new tenant answers its generated token and webhook secret, once. An update answers `ok` alone.',
    body: tenantBodySchema,
    answer: z.object({
      ...okField,
      tenant_id: z.string().optional(),
      api_key: z.string().optional().describe('Only if it was generated.'),
      webhook_secret: z.string().optional().describe('Only if it was generated.'),
    }),
    errors: ['already_exists', 'secret_required', 'not_supported', 'key_missing'],
    async handler({ deps, context, body }) {
      const { tenantId, input, chosen } = tenantRequestFromWire(body);
      const result = await putTenant(context, tenantId, input, chosen, 'create-or-update');
      deps.changed();
      if (!result.created) return { ok: true as const };
      return {
        ok: true as const,
        tenant_id: tenantId,
        ...(result.token === undefined ? {} : { api_key: result.token }),
        ...(result.webhookSecret === undefined ? {} : { webhook_secret: result.webhookSecret }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/tenants',
    who: 'admin',
    summary: 'List tenants in order of id.',
    query: z.object({ active_only: queryBoolean.optional(), ...pageQuery }),
    answer: z.object({ ...okField, tenants: z.array(tenantAnswer), next_cursor: nextCursorSchema }),
    async handler({ context, query }) {
      const { items, nextCursor } = await listTenants(context, {
        limit: query.limit,
        activeOnly: query.active_only ?? false,
        ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
      });
      return {
        ok: true as const,
        tenants: items.map(tenantToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/tenants/sync-status',
    who: 'admin',
    summary: 'When the endpoints of tenants answered last, and whether they are due.',
    query: z.object({ active_only: queryBoolean.optional(), ...pageQuery }),
    answer: z.object({
      ...okField,
      sync_interval_seconds: z.int(),
      tenants: z.array(syncStatusAnswer),
      next_cursor: nextCursorSchema,
    }),
    async handler({ context, query }) {
      const { items, nextCursor } = await syncStatus(context, {
        limit: query.limit,
        activeOnly: query.active_only ?? false,
        ...(query.cursor === undefined ? {} : { cursor: query.cursor }),
      });
      return {
        ok: true as const,
        sync_interval_seconds: SYNC_INTERVAL_MS / 1000,
        tenants: items.map(syncStatusToWire),
        ...(nextCursor === undefined ? {} : { next_cursor: nextCursor }),
      };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/tenant/{id}',
    who: 'tenant',
    tenantParam: 'id',
    summary: 'Show a tenant, without its secrets.',
    params,
    answer: tenantAnswer.extend(okField),
    errors: ['tenant_not_found'],
    async handler({ context, params }) {
      return { ok: true as const, ...tenantToWire(await getTenant(context, params.id)) };
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/tenant/{id}',
    who: 'admin',
    summary: 'Delete a tenant and everything that belongs to it.',
    params,
    answer: okAnswer,
    errors: ['tenant_not_found'],
    async handler({ deps, context, params }) {
      await deleteTenant(context, params.id);
      deps.changed();
      return { ok: true as const };
    },
  }),
];

import { z } from 'zod';
import { wireIdSchema } from '../../core/schemas/account.js';
import { timestampSchema } from '../../core/schemas/message.js';
import { parseTimestamp } from '../../core/time.js';
import { tokenToWire } from '../../core/wire.js';
import {
  createToken,
  DEFAULT_TOKEN,
  listTokens,
  revokeToken,
  rotateAdminToken,
} from '../../services/tokens.js';
import { okAnswer, okField, tokenAnswer } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

const params = z.object({ id: wireIdSchema });
const tokenParams = z.object({ id: wireIdSchema, name: wireIdSchema });
const expires = timestampSchema.nullish().describe('When it stops working; never when left out.');
const expiresAt = (value: string | number | null | undefined): number | undefined =>
  value === null || value === undefined ? undefined : parseTimestamp(value);

/** Tokens: of tenants, and the admin's own. */
export const tokenRoutes: readonly Route[] = [
  defineRoute({
    method: 'post',
    path: '/tenant/{id}/api-key',
    who: 'admin',
    summary: 'Make a new token for a tenant; the one before dies.',
    params,
    body: z.strictObject({ expires_at: expires }).optional(),
    answer: z.object({ ...okField, tenant_id: z.string(), api_key: z.string() }),
    errors: ['tenant_not_found'],
    async handler({ deps, context, params, body }) {
      const token = await createToken(context, params.id, {
        name: DEFAULT_TOKEN,
        expiresAt: expiresAt(body?.expires_at),
        replace: true,
      });
      deps.changed();
      return { ok: true as const, tenant_id: params.id, api_key: token };
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/tenant/{id}/api-key',
    who: 'admin',
    summary: 'Revoke the token of a tenant.',
    params,
    answer: okAnswer,
    errors: ['tenant_not_found'],
    async handler({ deps, context, params }) {
      await revokeToken(context, params.id, DEFAULT_TOKEN);
      deps.changed();
      return { ok: true as const };
    },
  }),
  defineRoute({
    method: 'get',
    path: '/tenant/{id}/tokens',
    who: 'admin',
    summary: 'List the named tokens of a tenant; never what opens anything.',
    params,
    answer: z.object({ ...okField, tokens: z.array(tokenAnswer) }),
    errors: ['tenant_not_found'],
    async handler({ context, params }) {
      return { ok: true as const, tokens: (await listTokens(context, params.id)).map(tokenToWire) };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/tenant/{id}/tokens',
    who: 'admin',
    summary: 'Make a named token for a tenant; it is answered once.',
    params,
    body: z.strictObject({ name: wireIdSchema, expires_at: expires }),
    answer: z.object({ ...okField, tenant_id: z.string(), name: z.string(), token: z.string() }),
    errors: ['tenant_not_found', 'already_exists'],
    async handler({ deps, context, params, body }) {
      const request = { name: body.name, expiresAt: expiresAt(body.expires_at), replace: false };
      const token = await createToken(context, params.id, request);
      deps.changed();
      return { ok: true as const, tenant_id: params.id, name: body.name, token };
    },
  }),
  defineRoute({
    method: 'delete',
    path: '/tenant/{id}/tokens/{name}',
    who: 'admin',
    summary: 'Revoke a named token of a tenant.',
    params: tokenParams,
    answer: okAnswer,
    errors: ['tenant_not_found'],
    async handler({ deps, context, params }) {
      await revokeToken(context, params.id, params.name);
      deps.changed();
      return { ok: true as const };
    },
  }),
  defineRoute({
    method: 'post',
    path: '/commands/rotate-token',
    who: 'admin',
    summary: 'Make a new admin token; the one that asks for it is dead at once.',
    answer: z.object({ ...okField, token: z.string() }),
    errors: ['token_missing'],
    async handler({ deps, context }) {
      const token = await rotateAdminToken(context);
      deps.changed();
      return { ok: true as const, token };
    },
  }),
];

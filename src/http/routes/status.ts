import { z } from 'zod';
import { pendingMessages } from '../../services/status.js';
import { okField } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

/** `GET /status`: what the server is doing, and how much of the caller's mail waits. */
export const statusRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/status',
    who: 'any-token',
    summary: "What the server is doing; with a tenant token, of the tenant's own messages.",
    answer: z.object({
      ...okField,
      scheduler_active: z.boolean(),
      pending_messages: z.int(),
      uptime_seconds: z.int(),
      version: z.string(),
    }),
    async handler({ deps, context, tenantId }) {
      return {
        ok: true as const,
        scheduler_active: deps.schedulerActive(),
        pending_messages: await pendingMessages(context, tenantId),
        uptime_seconds: Math.max(0, Math.floor((deps.now() - deps.startedAt) / 1000)),
        version: deps.version,
      };
    },
  }),
];

import { z } from 'zod';
import { defineRoute, type Route } from '../route.js';

/** `GET /metrics`: what an operator watches, as Prometheus reads it. */
export const metricsRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/metrics',
    who: 'admin',
    takesBearer: true,
    summary: 'Metrics of the server in the Prometheus text format.',
    description: 'The token may also come as `Authorization: Bearer`, as Prometheus sends it.',
    answer: z.string(),
    mediaType: 'text/plain',
    async handler({ deps }) {
      const { contentType, text } = await deps.metrics.scrape();
      return new Response(text, { headers: { 'Content-Type': contentType } });
    },
  }),
];

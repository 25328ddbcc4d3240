import { MailProxyError } from '../../core/errors.js';
import { okAnswer } from '../answers.js';
import { defineRoute, type Route } from '../route.js';

/** `GET /health`: whether the daemon can do its work. */
export const healthRoutes: readonly Route[] = [
  defineRoute({
    method: 'get',
    path: '/health',
    who: 'anyone',
    summary: 'Whether the server can work; 503 while its store cannot be read.',
    answer: okAnswer,
    errors: ['store_unavailable'],
    async handler({ deps }) {
      try {
        await deps.store.check();
      } catch (cause) {
        // Anyone may ask, so nothing about the reason is told.
        throw new MailProxyError('store_unavailable', 'The store cannot be read.', { cause });
      }
      return { ok: true as const };
    },
  }),
];

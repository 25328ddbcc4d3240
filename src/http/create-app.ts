import { OpenAPIHono } from '@hono/zod-openapi';
import { answerErrors } from './answer-errors.js';
import type { AppEnv } from './app-env.js';
import { clientAddress } from './client-address.js';
import type { AppDeps } from './deps.js';
import { accessLog } from './middleware/access-log.js';
import { securityHeaders } from './middleware/security-headers.js';
import { openApiRoute } from './openapi.js';
import { registerRoutes } from './register-routes.js';
import type { Route } from './route.js';
import { accountRoutes } from './routes/accounts.js';
import { commandLogRoutes } from './routes/command-log.js';
import { commandRoutes } from './routes/commands.js';
import { healthRoutes } from './routes/health.js';
import { keyRoutes } from './routes/keys.js';
import { messageRoutes } from './routes/messages.js';
import { metricsRoutes } from './routes/metrics.js';
import { queueRoutes } from './routes/queue.js';
import { statusRoutes } from './routes/status.js';
import { suspensionRoutes } from './routes/suspensions.js';
import { tenantRoutes } from './routes/tenants.js';
import { tokenRoutes } from './routes/tokens.js';

const declared: readonly Route[] = [
  ...healthRoutes,
  ...statusRoutes,
  ...metricsRoutes,
  ...tenantRoutes,
  ...accountRoutes,
  ...messageRoutes,
  ...queueRoutes,
  ...suspensionRoutes,
  ...commandRoutes,
  ...tokenRoutes,
  ...keyRoutes,
  ...commandLogRoutes,
];

/** Every route that the app serves: the one list that router, OpenAPI document and tests read. */
export const ROUTES: readonly Route[] = [...declared, openApiRoute(declared)];

/** Makes the HTTP app over what it is given; it opens no port and holds no state but log throttles. */
export function createApp(deps: AppDeps): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>();
  app.onError(answerErrors(deps));
  const addressOf = clientAddress(deps.trustedProxies);
  app.use(securityHeaders(), accessLog({ log: deps.log, metrics: deps.metrics, addressOf }));
  registerRoutes(app, deps, ROUTES);
  return app;
}

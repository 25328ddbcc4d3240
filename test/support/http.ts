import { parseAllowance } from '../../src/core/destination.js';
import { createDestinationGuard } from '../../src/delivery/destination-guard.js';
import { createApp } from '../../src/http/create-app.js';
import type { AppDeps } from '../../src/http/deps.js';
import { createMetrics } from '../../src/metrics/metrics.js';
import { openTestStore, type TestStore } from './store.js';

/** What was logged. */
export interface LogLine {
  level: 'debug' | 'info' | 'warn' | 'error';
  message: string;
  fields: Record<string, unknown>;
}

/** Answer of a request, its body parsed. */
export interface Answer {
  status: number;
  headers: Headers;
  /** The body as it came. */
  text: string;
  json: Record<string, unknown>;
}

/** Whatever `fetch` takes for a body. */
export type RequestBody = NonNullable<RequestInit['body']>;

/** What a request says beside its method and path. */
export interface RequestParts {
  /** Sent as it is in `X-API-Token`; none when left out. */
  token?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is. */
  body?: RequestBody;
  headers?: Record<string, string>;
}

/** The app over a real store, with the tenants `acme` and `globex` and tokens named after their owners. */
export interface TestApp extends TestStore {
  app: ReturnType<typeof createApp>;
  log: LogLine[];
  /** Which of the scheduler's functions were called. */
  calls: Array<'wake' | { runNow: string | undefined }>;
  request(method: string, path: string, parts?: RequestParts): Promise<Answer>;
}

/** Token of the admin in tests. */
export const ADMIN = 'admin-secret-token';
/** Token of the tenant `acme` in tests. */
export const ACME = 'acme-secret-token';
/** Token of the tenant `globex` in tests. */
export const GLOBEX = 'globex-secret-token';

/** Opens a {@link TestApp}. */
export async function openTestApp(changes: Partial<AppDeps> = {}): Promise<TestApp> {
  const opened = await openTestStore();
  await opened.addTenant('acme', ACME);
  await opened.addTenant('globex', GLOBEX);
  return await openTestAppOver(opened, changes);
}

/** Opens a {@link TestApp} over a store that is there already, with its tenants; their tokens are its own affair. */
export async function openTestAppOver(opened: TestStore, changes: Partial<AppDeps> = {}): Promise<TestApp> {
  await opened.setAdminToken(ADMIN);
  const log: LogLine[] = [];
  const calls: TestApp['calls'] = [];
  const at =
    (level: LogLine['level']) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      log.push({ level, message, fields });
    };
  const now = () => opened.clock.now;
  const metrics = createMetrics({
    store: opened.store,
    now,
    startedAt: now() - 5000,
    version: '1.2.3',
    lanes: () => [],
  });
  const app = createApp({
    store: opened.store,
    keyring: () => opened.keyring,
    reloadKeys: async () => undefined,
    authAudit: { failed: () => undefined, succeeded: () => undefined },
    guard: createDestinationGuard(parseAllowance('127.0.0.0/8,localhost')),
    now,
    startedAt: opened.clock.now - 5000,
    version: '1.2.3',
    schedulerActive: () => true,
    wake: () => calls.push('wake'),
    changed: () => calls.push('wake'),
    runNow: (runNow) => calls.push({ runNow }),
    defaultPriority: 2,
    retention: 7 * 86_400_000,
    log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
    metrics,
    ...changes,
  });
  return {
    ...opened,
    async close() {
      metrics.stop();
      await opened.close();
    },
    app,
    log,
    calls,
    async request(method, path, { token, json, body, headers = {} } = {}) {
      const response = await app.request(path, {
        method,
        headers: {
          ...(token === undefined ? {} : { 'X-API-Token': token }),
          ...(json === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(body === undefined ? {} : { body, duplex: 'half' }),
      });
      const text = await response.text();
      const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
      const parsed: unknown = isJson && text !== '' ? JSON.parse(text) : {};
      return { status: response.status, headers: response.headers, text, json: parsed as Answer['json'] };
    },
  };
}

/** A minimal account for `POST /account`. */
export const account = (changes: Record<string, unknown> = {}) => ({
  id: 'smtp1',
  host: 'smtp.example.com',
  user: 'u',
  password: 'swordfish',
  ...changes,
});

/** A minimal message for `POST /commands/add-messages`. */
export const message = (id: string, changes: Record<string, unknown> = {}) => ({
  id,
  from: 'app@example.com',
  to: ['someone@example.net'],
  subject: 'Hello',
  body: 'Hello there',
  ...changes,
});

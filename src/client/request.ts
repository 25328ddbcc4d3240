import { ERROR_CODES, type ErrorCode, type FieldIssue, MailProxyError } from '../core/errors.js';

/** Where the server is and how to reach it. */
export interface ClientOptions {
  /** Such as `http://127.0.0.1:8000`. */
  url: string;
  /** The admin token, or one of a tenant's. */
  token: string;
  /** Used in place of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  /** How long to wait for one answer, in milliseconds. @defaultValue 60 000 */
  timeoutMs?: number;
}

/** One request; parameters that are undefined are left out. */
export interface ClientRequest {
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  query?: Record<string, string | number | boolean | undefined>;
  body?: unknown;
  /** Such as `Idempotency-Key`; those that are undefined are left out. */
  headers?: Record<string, string | undefined>;
  /** Whether an answer with status 200 is one even without `ok: true`. */
  isBare?: boolean;
}

const DEFAULT_TIMEOUT_MS = 60_000;

/** Headers carry bytes, which `fetch` takes as Latin-1: the UTF-8 bytes of the token, each as one character. */
function headerBytes(text: string): string {
  return Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join('');
}

function headersOf({ headers = {} }: ClientRequest): Record<string, string> {
  const given = Object.entries(headers).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, headerBytes(value)] as const],
  );
  return Object.fromEntries(given);
}

function target(base: string, { path, query }: ClientRequest): URL {
  const url = new URL(`${base.replace(/\/+$/, '')}${path}`);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

function issuesOf(value: unknown): FieldIssue[] | undefined {
  if (!Array.isArray(value)) return undefined;
  return value.flatMap((issue: unknown) => {
    if (typeof issue !== 'object' || issue === null || !('path' in issue) || !('message' in issue)) return [];
    return [{ path: String(issue.path), message: String(issue.message) }];
  });
}

function failureOf(answer: Record<string, unknown>, status: number): MailProxyError {
  const isKnown = typeof answer.code === 'string' && Object.hasOwn(ERROR_CODES, answer.code);
  const code = isKnown ? (answer.code as ErrorCode) : 'internal';
  const message =
    typeof answer.error === 'string' ? answer.error : `The server answered with status ${status}.`;
  const issues = issuesOf(answer.issues);
  return new MailProxyError(code, message, issues === undefined ? {} : { issues });
}

async function answerOf(response: Response): Promise<Record<string, unknown>> {
  const answer: unknown = await response.json().catch(() => undefined);
  if (typeof answer === 'object' && answer !== null) return answer as Record<string, unknown>;
  throw new MailProxyError(
    'internal',
    `The answer (status ${response.status}) is not of a mail-proxy server: check the URL.`,
  );
}

/**
 * Makes the function that sends one request and returns its answer.
 *
 * @throws MailProxyError with the server's own code and sentence; `daemon_not_running` when nothing answers; `internal` when
 * something else than a mail-proxy server does. Redirects are not followed: the token would go along.
 */
export function createRequester(
  options: ClientOptions,
): (request: ClientRequest) => Promise<Record<string, unknown>> {
  const { origin } = new URL(options.url);
  return async (request) => {
    const send = options.fetch ?? globalThis.fetch;
    let response: Response;
    try {
      response = await send(target(options.url, request), {
        method: request.method,
        headers: {
          'X-API-Token': headerBytes(options.token),
          ...headersOf(request),
          ...(request.body === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
        redirect: 'error',
        signal: AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
      });
    } catch (cause) {
      throw new MailProxyError(
        'daemon_not_running',
        `No mail-proxy server answers at ${origin}: is it started?`,
        { cause },
      );
    }
    const answer = await answerOf(response);
    if (!response.ok || (answer.ok !== true && request.isBare !== true))
      throw failureOf(answer, response.status);
    return answer;
  };
}

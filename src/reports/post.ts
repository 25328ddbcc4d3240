import { isIP, type LookupFunction } from 'node:net';
import { Agent, request } from 'undici';
import type { ClientAuthInput } from '../core/tenant-settings.js';
import type { DestinationGuard } from '../delivery/destination-guard.js';
import { CallFailed } from './call-failed.js';
import { describeFailure } from './describe-failure.js';
import type { ReportTarget } from './endpoint.js';
import { readBounded } from './read-bounded.js';

/** One call of an endpoint. */
export interface ReportCall {
  target: ReportTarget;
  body: string;
  /** Beside what every call has. */
  headers: Record<string, string>;
}

/**
 * Calls an endpoint and gives its answer, parsed.
 *
 * @throws CallFailed whatever it is that fails.
 */
export type PostReport = (call: ReportCall, signal: AbortSignal) => Promise<unknown>;

const CONNECT_TIMEOUT_MS = 10_000;
const LARGEST_ANSWER_BYTES = 1024 * 1024;

/**
 * Makes the one way to call endpoints. Each call has a connection of its own to the very address that was checked, TLS still asks for
 * the host by its name, and redirects are not followed: what is sent goes to that origin alone.
 */
export function createPostReport(guard: DestinationGuard): PostReport {
  return async ({ target, body, headers }, signal) => {
    let agent: Agent | undefined;
    try {
      const url = new URL(target.url);
      const address = target.isGuarded ? await unlessAborted(guard(url.hostname), signal) : undefined;
      agent = new Agent({
        connect: {
          timeout: CONNECT_TIMEOUT_MS,
          ...(address === undefined ? {} : { lookup: fixedLookup(address) }),
        },
      });
      const response = await request(url, {
        method: 'POST',
        dispatcher: agent,
        signal,
        body,
        headers: { 'content-type': 'application/json', ...authorization(target.auth), ...headers },
      });
      const { statusCode } = response;
      if (statusCode < 200 || statusCode > 299) {
        // Whatever it says is not read, and must not be heard of again.
        response.body.on('error', () => undefined).destroy();
        throw new CallFailed(`the endpoint answered with status ${statusCode}`);
      }
      return parse(await readBounded(response.body, LARGEST_ANSWER_BYTES));
    } catch (error) {
      throw error instanceof CallFailed ? error : new CallFailed(describeFailure(error));
    } finally {
      // Also ends what the endpoint may still be sending.
      await agent?.destroy();
    }
  };
}

function authorization(auth: ClientAuthInput): Record<string, string> {
  switch (auth.method) {
    case 'none':
      return {};
    case 'bearer':
      return { authorization: `Bearer ${auth.token}` };
    case 'basic':
      return { authorization: `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString('base64')}` };
  }
}

/** Resolves every name to one address. */
function fixedLookup(address: string): LookupFunction {
  const family = isIP(address);
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

/** The resolver cannot be stopped, but it need not be waited for. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CallFailed('the answer is no JSON');
  }
}

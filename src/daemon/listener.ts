import type { AddressInfo } from 'node:net';
import { type ServerType, serve } from '@hono/node-server';
import type { ResolvedDaemonConfig } from '../config/daemon-config.js';
import { MailProxyError } from '../core/errors.js';

type Fetch = Parameters<typeof serve>[0]['fetch'];

/** A port that is taken, and the app that answers on it. */
export interface Listener {
  port: number;
  /** Where it is reached from this machine. */
  url: string;
  /** Puts the app in; until then every request is told that the server is starting. */
  serve(fetch: Fetch): void;
  /** Accepts nothing new and resolves when what is under way is answered, or cut off after two seconds. */
  close(): Promise<void>;
}

const STARTING = { status: 503, headers: { 'content-type': 'application/json' } };
const NOT_YET =
  '{"ok":false,"error":"The server is starting: try again in a moment.","code":"store_unavailable"}';
/** How long requests under way may take once everything else has stopped. */
const REQUEST_GRACE_MS = 2000;
/** The whole of a request's headers, and the whole of a request. */
const HEADERS_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 120_000;
const MOST_PORTS_TRIED = 200;

/**
 * Takes the port, before anything is made that would have to be shown.
 *
 * @throws MailProxyError `port_in_use` or `start_failed`.
 */
export async function openListener(config: ResolvedDaemonConfig): Promise<Listener> {
  let answer: Fetch = () => new Response(NOT_YET, STARTING);
  const server = await listen((...args) => answer(...args), config);
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://${urlHost(config.host)}:${port}`,
    serve(fetch) {
      answer = fetch;
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      if ('closeIdleConnections' in server) server.closeIdleConnections();
      // A request that is still coming in after that would keep the daemon for as long as its client likes.
      const cutOff = setTimeout(() => {
        if ('closeAllConnections' in server) server.closeAllConnections();
      }, REQUEST_GRACE_MS);
      await closed;
      clearTimeout(cutOff);
    },
  };
}

async function listen(fetch: Fetch, config: ResolvedDaemonConfig): Promise<ServerType> {
  for (let port = config.port; ; port++) {
    try {
      return await listenOn(fetch, config.host, port);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      const tryNext =
        code === 'EADDRINUSE' && config.portIsFree && port < Math.min(config.port + MOST_PORTS_TRIED, 65_535);
      if (tryNext) continue;
      if (code === 'EADDRINUSE') {
        throw new MailProxyError(
          'port_in_use',
          `Port ${port} on ${config.host} is taken by another program: stop it, or start with --port.`,
        );
      }
      if (code === 'EACCES' || code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
        throw new MailProxyError(
          'start_failed',
          `Cannot listen on ${config.host}:${port} (${code}): choose another --host or --port.`,
        );
      }
      throw error;
    }
  }
}

function listenOn(fetch: Fetch, hostname: string, port: number): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({
      fetch,
      hostname,
      port,
      serverOptions: { headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS },
    });
    server.once('listening', () => resolve(server));
    server.once('error', reject);
  });
}

function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return host.includes(':') ? `[${host}]` : host;
}

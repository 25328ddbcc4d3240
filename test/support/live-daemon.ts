import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDaemon } from '../../src/daemon/compose.js';

/** A whole daemon in this process, on a free port, with an admin token of its own. */
export interface LiveDaemon {
  url: string;
  token: string;
  /** Asks with the admin token; JSON when there is a body. */
  ask(method: string, path: string, json?: unknown): Promise<Response>;
  close(): Promise<void>;
}

/** Starts a {@link LiveDaemon} in a directory that goes with it. */
export async function startLiveDaemon(): Promise<LiveDaemon> {
  const home = mkdtempSync(join(tmpdir(), 'mail-proxy-live-'));
  const daemon = await startDaemon({
    directory: join(home, 'alpha'),
    env: { MAIL_PROXY_HOME: home },
    flags: { host: '127.0.0.1', port: 0 },
    apiToken: { token: 'live-admin-token', fromEnvironment: false },
    mayCreateSecrets: true,
    holdUnreadable: false,
    sink: { write: () => undefined },
  });
  const { url } = daemon.ready;
  const token = 'live-admin-token';
  return {
    url,
    token,
    ask: (method, path, json) =>
      fetch(`${url}${path}`, {
        method,
        headers: {
          'X-API-Token': token,
          ...(json === undefined ? {} : { 'Content-Type': 'application/json' }),
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      }),
    async close() {
      await daemon.stop(1000);
      rmSync(home, { recursive: true, force: true });
    },
  };
}

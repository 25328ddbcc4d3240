import { MailProxyError } from '../core/errors.js';
import type { ServiceContext } from '../services/context.js';
import type { ServerReference } from './servers.js';

/** Opens a server's store and keys for one piece of work and closes them after it, whatever happens. */
export async function withServer<T>(
  server: ServerReference,
  work: (context: ServiceContext) => Promise<T>,
): Promise<T> {
  const { openServer } = await import('../services/open-server.js');
  const opened = await openServer(server.name, server.directory, process.env);
  try {
    return await work(opened.context);
  } finally {
    await opened.close();
  }
}

/**
 * Does a piece of work that needs the encryption key: here when this process has it, otherwise through the daemon, with
 * the token of `GMP_API_TOKEN`.
 *
 * @throws MailProxyError `key_missing` when the key is neither here nor can a daemon be asked.
 */
export async function withKey<T>(
  server: ServerReference,
  here: (context: ServiceContext) => Promise<T>,
  there: (client: import('../client/index.js').Client) => Promise<T>,
): Promise<T> {
  return await withServer(server, async (context) => {
    const token = process.env.GMP_API_TOKEN;
    if (context.keyring.canSeal && context.store.audit.unlocked) return await here(context);
    if (token === undefined) return await here(context).catch(adviseToken);
    const client = await daemonClient(server, token);
    return client === undefined ? await here(context) : await there(client);
  });
}

/** Says what else would help where a key is missing. */
function adviseToken(error: unknown): never {
  const isSilent =
    error instanceof MailProxyError &&
    error.code === 'key_missing' &&
    !error.message.includes('GMP_API_TOKEN');
  if (!isSilent) throw error;
  const advice = 'Set GMP_API_TOKEN to go through the running daemon.';
  throw new MailProxyError('key_missing', `${error.message} ${advice}`, { cause: error });
}

/** A client of the server's running daemon; undefined when none runs. */
async function daemonClient(
  server: ServerReference,
  token: string,
): Promise<import('../client/index.js').Client | undefined> {
  const { serverStatus } = await import('../services/server-status.js');
  const { url } = serverStatus(server.name, server.directory, process.env, Date.now());
  if (url === null) return undefined;
  const { createClient } = await import('../client/index.js');
  return createClient({ url, token });
}

/**
 * A client for a command that makes sense only while the daemon runs.
 *
 * @throws MailProxyError `daemon_not_running`, or `token_missing` without `GMP_API_TOKEN`.
 */
export async function requireDaemon(server: ServerReference): Promise<import('../client/index.js').Client> {
  const { serverStatus } = await import('../services/server-status.js');
  if (serverStatus(server.name, server.directory, process.env, Date.now()).state !== 'running') {
    throw new MailProxyError(
      'daemon_not_running',
      `The daemon of "${server.name}" is not running: start it with "mail-proxy start ${server.name}".`,
    );
  }
  const token = process.env.GMP_API_TOKEN;
  const client = token === undefined ? undefined : await daemonClient(server, token);
  if (client !== undefined) return client;
  throw new MailProxyError(
    'token_missing',
    'Set GMP_API_TOKEN to the admin token, or to the token of the tenant, to ask the daemon.',
  );
}

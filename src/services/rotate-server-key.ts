import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import type { Environment } from '../crypto/key-sources.js';
import { takeServerLock } from '../store/server-lock.js';
import { changeBy, type ServiceContext } from './context.js';
import { type RotationResult, rotateKey } from './rotate-key.js';
import { serverStatus } from './server-status.js';
import { loadKeyring } from './unlock-keys.js';

/**
 * Rotates the key of a server whose daemon may run or not; one rotation at a time.
 *
 * @throws MailProxyError `already_exists` while another rotation runs, and what {@link rotateKey} throws.
 */
export async function rotateServerKey(
  context: ServiceContext,
  server: { name: string; directory: string },
  env: Environment,
  newKey: Buffer | undefined,
  options: { dryRun: boolean; onProgress: (done: number, total: number) => void },
): Promise<RotationResult> {
  const lock = takeRotationLock(`${serverPaths(server.directory, env).database}.rotation.lock`);
  try {
    return await rotateKey(
      {
        store: context.store,
        serverDirectory: server.directory,
        loadKeyring: () => loadKeyring(context.store, { env, serverDirectory: server.directory }),
        by: () => changeBy(context),
        daemonRuns: () => serverStatus(server.name, server.directory, env, Date.now()).state === 'running',
        onProgress: options.onProgress,
      },
      newKey,
      { dryRun: options.dryRun },
    );
  } finally {
    lock.release();
  }
}

function takeRotationLock(path: string): { release(): void } {
  try {
    return takeServerLock(path);
  } catch (error) {
    if (!(error instanceof MailProxyError) || error.code !== 'daemon_running') throw error;
    throw new MailProxyError(
      'already_exists',
      'Another rotation of this server is running: wait for it to end.',
    );
  }
}

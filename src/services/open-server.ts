import { statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import type { Actor } from '../core/types.js';
import type { Environment } from '../crypto/key-sources.js';
import { openStore } from '../store/store.js';
import { unlockAudit } from './audit-chain.js';
import type { ServiceContext } from './context.js';
import { loadKeyring } from './unlock-keys.js';

/** A server opened by a command of the CLI. */
export interface OpenedServer {
  context: ServiceContext;
  close(): Promise<void>;
}

/**
 * Opens a server's store and keys for one command. The daemon may run or not.
 *
 * @throws MailProxyError `server_not_found`, `schema_mismatch`, `unsafe_permissions`, `key_invalid`.
 */
export async function openServer(server: string, directory: string, env: Environment): Promise<OpenedServer> {
  const paths = serverPaths(directory, env);
  if (statSync(directory, { throwIfNoEntry: false }) === undefined) {
    throw new MailProxyError(
      'server_not_found',
      `There is no server "${server}": make it with "mail-proxy start ${server}".`,
    );
  }
  refuseOpenDirectory(directory);
  const store = await openStore(paths.database);
  try {
    const keyring = await loadKeyring(store, { env, serverDirectory: directory });
    // Without its key the trail cannot be written, and nothing that is audited can be changed here.
    await unlockAudit(store, keyring);
    return {
      context: { store, keyring, actor: operator(), now: Date.now },
      close: () => store.close(),
    };
  } catch (error) {
    await store.close();
    throw error;
  }
}

function refuseOpenDirectory(directory: string): void {
  const mode = statSync(directory).mode & 0o777;
  if ((mode & 0o077) !== 0) {
    throw new MailProxyError(
      'unsafe_permissions',
      `${directory} can be entered by others: run "chmod 700 ${directory}".`,
    );
  }
}

/** The user of the system, as whom a command acts. */
export function operator(): Actor {
  return { kind: 'os-user', name: userName() };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}

import { existsSync } from 'node:fs';
import { MailProxyError } from '../core/errors.js';
import { retiredKeyFile, rotatedKeyFile } from '../crypto/key-sources.js';
import type { Keyring } from '../crypto/keyring.js';
import type { Store } from '../store/store.js';
import { verifySecrets } from './reencrypt.js';
import { verifyAudit } from './verify-audit.js';

/**
 * Finds out whether a server could work with a backup: whether its keys open what the backup holds, and whether the backup's
 * audit trail is as it was written.
 *
 * @returns What is wrong, worst first; nothing when all is well.
 */
export async function checkBackup(
  store: Store,
  keyring: Keyring,
  serverDirectory: string,
): Promise<MailProxyError[]> {
  const missing = [...(await store.secrets.countByKey())].filter(([id]) => !keyring.has(id));
  if (missing.length > 0) {
    return missing.map(
      ([id, n]) =>
        new MailProxyError(
          'key_missing',
          `${n} secret(s) of the backup need key ${id}, which is not available: ${whereToPut(serverDirectory, id)}.`,
        ),
    );
  }
  const problems: MailProxyError[] = [];
  const { unreadable } = await verifySecrets(store, keyring);
  const [first] = unreadable;
  if (first !== undefined) {
    const others = unreadable.length > 1 ? ` ${unreadable.length - 1} other(s) do not open either.` : '';
    problems.push(
      new MailProxyError(
        'credential_unreadable',
        `In the backup ${first.what} does not open: ${first.reason}.${others}`,
      ),
    );
  }
  const trail = await verifyAudit(store, keyring).catch((error: unknown) => {
    // Its key is among what does not open.
    if (error instanceof MailProxyError && problems.length > 0) return { problem: null };
    throw error;
  });
  if (trail.problem !== null)
    problems.push(new MailProxyError('audit_broken', `In the backup: ${trail.problem}`));
  return problems;
}

/** A key that was rotated away since is still on this machine perhaps. */
function whereToPut(serverDirectory: string, id: string): string {
  const place = rotatedKeyFile(serverDirectory, id);
  const retired = retiredKeyFile(serverDirectory, id);
  return existsSync(retired)
    ? `copy ${retired} to ${place}`
    : `put its file at ${place}, or set MAIL_PROXY_ENCRYPTION_KEY (or MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS) to it`;
}

import { open } from 'node:fs/promises';
import { MailProxyError } from '../core/errors.js';
import type { Millis } from '../core/types.js';
import type { ServiceContext } from './context.js';
import { exportAudit } from './list-audit.js';
import { verifyAudit } from './verify-audit.js';

/**
 * Writes the whole trail to a new file, on disk when this resolves.
 *
 * @returns How many records were written.
 * @throws MailProxyError `already_exists` or `file_unreadable`.
 */
export async function writeAudit(context: Pick<ServiceContext, 'store'>, path: string): Promise<number> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') {
      throw new MailProxyError('already_exists', `${path} is already there; it is not overwritten.`, {
        cause,
      });
    }
    throw new MailProxyError('file_unreadable', `${path} cannot be created: ${cause.code}.`, { cause });
  });
  try {
    await file.chmod(0o600);
    let written = 0;
    for await (const lines of exportAudit(context)) {
      await file.write(lines);
      written += lines.split('\n').length - 1;
    }
    await file.sync();
    return written;
  } finally {
    await file.close();
  }
}

/**
 * Takes records of before `until` out of the database; a signed checkpoint stands for them.
 *
 * @returns How many were taken out.
 * @throws MailProxyError `audit_broken` when the present chain does not verify: a checkpoint would vouch for what was tampered with.
 */
export async function archiveAudit(
  { store, keyring, actor, now }: ServiceContext,
  until: Millis,
): Promise<number> {
  const [newest] = await store.audit.list({ until }, { limit: 1 });
  if (newest === undefined) return 0;
  const { problem } = await verifyAudit(store, keyring, undefined, 'present-chain');
  if (problem !== null) throw new MailProxyError('audit_broken', `${problem} Nothing was archived.`);
  return await store.audit.archive(
    newest.seq,
    (count) => ({
      event: 'audit.archived',
      actor,
      tenantId: null,
      subject: null,
      detail: { count, up_to: newest.seq },
    }),
    now(),
  );
}

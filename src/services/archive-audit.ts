import { open } from 'node:fs/promises';
import { MailProxyError } from '../core/errors.js';
import type { Millis } from '../core/types.js';
import type { ServiceContext } from './context.js';
import { exportAudit } from './list-audit.js';
import { verifyAudit } from './verify-audit.js';

/**
 * Writes the whole trail to a new file, on disk when this resolves.
 *
 * @returns How many records were written, and the place of the last one.
 * @throws MailProxyError `already_exists` or `file_unreadable`.
 */
export async function writeAudit(
  context: Pick<ServiceContext, 'store'>,
  path: string,
): Promise<{ written: number; lastSeq: number }> {
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
    let lastSeq = 0;
    for await (const lines of exportAudit(context)) {
      await file.write(lines);
      const records = lines.trimEnd().split('\n');
      written += records.length;
      lastSeq = (JSON.parse(records.at(-1) ?? '{}') as { seq?: number }).seq ?? lastSeq;
    }
    await file.sync();
    return { written, lastSeq };
  } finally {
    await file.close();
  }
}

/**
 * Takes records of before `until` out of the database; a signed checkpoint stands for them.
 *
 * @param writtenUpTo - Place of the last record that was written out: nothing behind it is taken.
 * @returns How many were taken out.
 * @throws MailProxyError `audit_broken` when the present chain does not verify: a checkpoint would vouch for what was tampered with.
 */
export async function archiveAudit(
  { store, keyring, actor, now }: ServiceContext,
  until: Millis,
  writtenUpTo: number,
): Promise<number> {
  const [newest] = await store.audit.list({ until }, { limit: 1, before: writtenUpTo + 1 });
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

import { open, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { makePrivateDirectory } from '../config/private-directory.js';
import { MailProxyError } from '../core/errors.js';

/** What `use` remembered; empty when nothing is. */
export interface Remembered {
  server?: string;
  tenant?: string;
}

/** The file in which `use` remembers server and tenant. */
function currentFile(home: string): string {
  return join(home, 'current.json');
}

/**
 * Reads what `use` remembered.
 *
 * @throws MailProxyError `file_unreadable` when the file is there but cannot be read or is not what `use` wrote.
 */
export async function readCurrent(home: string): Promise<Remembered> {
  const file = currentFile(home);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    if (isErrno(cause, 'ENOENT') || isErrno(cause, 'ENOTDIR')) return {};
    throw new MailProxyError('file_unreadable', `${file} cannot be read; name the server with --server.`, {
      cause,
    });
  }
  const stored = parse(text);
  if (stored) return stored;
  throw new MailProxyError(
    'file_unreadable',
    `${file} is damaged; run \`mail-proxy use <server>\` to write it anew.`,
  );
}

/** Remembers server and tenant (mode 0600, replaced in one step), or forgets both when `next` is empty. */
export async function writeCurrent(home: string, next: Remembered): Promise<void> {
  makePrivateDirectory(home, 'keep');
  const file = currentFile(home);
  if (next.server === undefined) return rm(file, { force: true });
  const temporary = `${file}.${process.pid}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.chmod(0o600);
    await handle.writeFile(`${JSON.stringify(next)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
}

function parse(text: string): Remembered | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null) return undefined;
    const { server, tenant } = value as Record<string, unknown>;
    if (typeof server !== 'string') return undefined;
    return typeof tenant === 'string' ? { server, tenant } : { server };
  } catch {
    return undefined;
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

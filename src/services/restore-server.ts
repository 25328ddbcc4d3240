import { chmodSync, constants, copyFileSync, existsSync, realpathSync, rmSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { makePrivateDirectory } from '../config/private-directory.js';
import { serverPaths } from '../config/server-paths.js';
import { MailProxyError } from '../core/errors.js';
import { formatFileTime } from '../core/time.js';
import type { Actor, Millis } from '../core/types.js';
import type { Environment } from '../crypto/key-sources.js';
import { checkDatabase } from '../store/check-database.js';
import { makeDirectoryOf } from '../store/database.js';
import { holdQueue } from '../store/hold-queue.js';
import { replaceDatabase } from '../store/replace-database.js';
import { SCHEMA_VERSION } from '../store/schema-version.js';
import { takeServerLock } from '../store/server-lock.js';
import { openStore, type Store } from '../store/store.js';
import { unlockAudit } from './audit-chain.js';
import { checkBackup } from './check-backup.js';
import { refuseRunning } from './delete-server.js';
import { discardIfNew } from './discard-new-server.js';
import { loadKeyring } from './unlock-keys.js';

/** Which server gets what back. */
export interface RestoreRequest {
  server: string;
  directory: string;
  env: Environment;
  /** The backup. */
  file: string;
  /** Whether to go on with a backup whose secrets do not all open here, or whose audit trail does not verify. */
  holdUnreadable: boolean;
  actor: Actor;
}

/** A backup that was found fit to be restored. No daemon can start until it is committed or discarded. */
export interface PreparedRestore {
  schema: number;
  /** Messages in it that are neither sent nor failed. */
  unsent: number;
  /** What was found and is gone on with. */
  warnings: string[];
  /** Whether the server has a database now. */
  replaces: boolean;
  /** Puts it in place; with `hold` every tenant with unsent messages is suspended first. */
  commit(options: { hold: boolean; now: Millis }): Promise<Restored>;
  /** Leaves nothing behind; to be called in any case. */
  discard(): void;
}

/** A database that was put back. */
export interface Restored {
  /** Where the replaced one is now; null when there was none. */
  replaced: string | null;
  /** Tenants that were suspended. */
  held: string[];
}

/**
 * Copies a backup beside a stopped server's database and checks the copy: nothing is replaced by what was not looked at.
 *
 * @throws MailProxyError `daemon_running`, `file_unreadable`, `schema_mismatch`, `store_unavailable` when it is damaged, and
 * unless `holdUnreadable`, `key_missing`, `credential_unreadable` or `audit_broken`.
 */
export async function prepareRestore(request: RestoreRequest): Promise<PreparedRestore> {
  const { server, directory, env } = request;
  const paths = serverPaths(directory, env);
  const file = backupFile(request.file, paths.database);
  refuseRunning(server, directory, env);
  const discardNew = discardIfNew(directory);
  const copy = `${paths.database}.restoring`;
  const undo: Array<() => void> = [discardNew];
  const discard = (): void => {
    for (const step of undo.splice(0).reverse()) step();
  };
  try {
    makePrivateDirectory(directory);
    makeDirectoryOf(paths.database);
    const lock = takeServerLock(paths.lock);
    undo.push(() => lock.release());
    undo.push(() => removeCopy(copy));
    copyBackup(file, copy);
    const { schema } = checkDatabase(copy, 'full', file);
    const { unsent, warnings } = await look(copy, schema, request);
    return {
      schema,
      unsent,
      warnings,
      replaces: existsSync(paths.database),
      discard,
      async commit({ hold, now }) {
        if (hold && schema < SCHEMA_VERSION) throw cannotHold(file, schema);
        const kept = keptName(paths.database, now);
        const held = hold ? holdQueue(copy, now) : [];
        const replaced = existsSync(paths.database) ? kept : null;
        if (schema === SCHEMA_VERSION) await note(copy, paths.database, replaced, request, now);
        // Also takes in the log of what was just written: the copy has to stand alone.
        checkDatabase(copy, 'quick', file);
        replaceDatabase(paths.database, copy, kept);
        undo.splice(undo.indexOf(discardNew), 1);
        return { replaced, held };
      },
    };
  } catch (error) {
    discard();
    throw error;
  }
}

function backupFile(given: string, database: string): string {
  const file = resolve(given);
  if (statSync(file, { throwIfNoEntry: false })?.isFile() !== true) {
    throw new MailProxyError('file_unreadable', `There is no file ${file}: name one made by "backup".`);
  }
  if (existsSync(database) && realpathSync(file) === realpathSync(database)) {
    throw new MailProxyError('usage', `${file} is the database of this server itself: name a backup of it.`);
  }
  return file;
}

const SIDES = ['', '-wal', '-journal', '-shm'];

function removeCopy(copy: string): void {
  for (const suffix of SIDES) rmSync(`${copy}${suffix}`, { force: true });
}

/** A database that was not made by `backup` may have a log beside it, which belongs to it. */
function copyBackup(file: string, copy: string): void {
  removeCopy(copy);
  for (const suffix of ['', '-wal', '-journal']) {
    if (suffix !== '' && !existsSync(`${file}${suffix}`)) continue;
    try {
      copyFileSync(`${file}${suffix}`, `${copy}${suffix}`, constants.COPYFILE_FICLONE);
    } catch (cause) {
      const { code } = cause as NodeJS.ErrnoException;
      const message = `${file}${suffix} cannot be copied to ${copy}${suffix} (${code}): check the disk and the modes.`;
      throw new MailProxyError('file_unreadable', message, { cause });
    }
    chmodSync(`${copy}${suffix}`, 0o600);
  }
}

/** Whether this server can work with it. What an older schema holds is only looked at after `start` has migrated it. */
async function look(
  copy: string,
  schema: number,
  { env, directory, holdUnreadable }: RestoreRequest,
): Promise<{ unsent: number; warnings: string[] }> {
  if (schema < SCHEMA_VERSION) {
    return {
      unsent: 0,
      warnings: [`The backup has schema ${schema}: "start" migrates it and looks whether its secrets open.`],
    };
  }
  return await withStore(copy, async (store) => {
    const keyring = await loadKeyring(store, { env, serverDirectory: directory });
    const problems = await checkBackup(store, keyring, directory);
    const [worst] = problems;
    if (worst !== undefined && !holdUnreadable) {
      const more = problems.slice(1).map(({ message }) => message);
      const advice = 'Nothing was changed; --hold-unreadable restores it all the same.';
      throw new MailProxyError(worst.code, [worst.message, ...more, advice].join(' '), { cause: worst });
    }
    const { ready = 0, waiting = 0, suspended = 0, sending = 0 } = await store.messages.countsOfAllTenants();
    return {
      unsent: ready + waiting + suspended + sending,
      warnings: problems.map(({ message }) => message),
    };
  });
}

async function withStore<T>(path: string, work: (store: Store) => Promise<T>): Promise<T> {
  const store = await openStore(path);
  try {
    return await work(store);
  } finally {
    await store.close();
  }
}

/** Written into the restored trail: that it was put back, and where the one stood that it replaces. */
async function note(
  copy: string,
  database: string,
  replaced: string | null,
  { actor, env, directory, file }: RestoreRequest,
  now: Millis,
): Promise<void> {
  const head = replaced === null ? undefined : await headOf(database);
  await withStore(copy, async (store) => {
    if (!(await unlockAudit(store, await loadKeyring(store, { env, serverDirectory: directory })))) return;
    const detail = {
      ...(replaced === null ? {} : { replaced: basename(replaced) }),
      ...(head === undefined ? {} : { replaced_head: head }),
    };
    const subject = basename(file);
    await store.audit.append([{ event: 'backup.restored', actor, tenantId: null, subject, detail }], now);
  });
}

/** The newest record of the database that is replaced; undefined when it is too damaged or too old to say. */
async function headOf(database: string): Promise<string | undefined> {
  try {
    const head = await withStore(database, (store) => store.audit.head());
    return head === undefined ? undefined : `${head.seq}:${head.hash}`;
  } catch {
    return undefined;
  }
}

function keptName(database: string, now: Millis): string {
  const name = `${database}.before-restore-${formatFileTime(now)}`;
  for (let n = 1; ; n++) {
    const free = n === 1 ? name : `${name}-${n}`;
    if (!existsSync(free)) return free;
  }
}

const cannotHold = (file: string, schema: number): MailProxyError =>
  new MailProxyError(
    'schema_mismatch',
    `${file} has the older schema ${schema}, whose queue cannot be held: restore it without --hold-queue, and start with GMP_SCHEDULER_ACTIVE=false first.`,
  );

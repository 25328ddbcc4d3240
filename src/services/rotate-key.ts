import { setTimeout as sleep } from 'node:timers/promises';
import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import { rotatedKeyFile, type SourcedKey } from '../crypto/key-sources.js';
import type { Keyring } from '../crypto/keyring.js';
import { keyIdOf } from '../crypto/secret-box.js';
import type { Store } from '../store/store.js';
import { unlockAudit } from './audit-chain.js';
import { generateKey, retireKeyFile, unrecordedKeyFile, writeKeyFile } from './key-files.js';
import { reencryptAll, verifySecrets } from './reencrypt.js';

/** What the end of a rotation works with. */
export interface FinishContext {
  store: Store;
  /** Reads the sources of keys as they are now. */
  loadKeyring(): Promise<Keyring>;
  by(): Change;
  onProgress(done: number, total: number): void;
}

/** What a rotation works with. */
export interface RotationContext extends FinishContext {
  serverDirectory: string;
  /** Whether a daemon runs that has to take a key up before it is used. */
  daemonRuns(): boolean;
}

/** What a rotation did, or would do. */
export interface RotationResult {
  dryRun: boolean;
  /** Id of the key that every secret is under now. */
  keyId: string;
  reencrypted: number;
  /** Ids of keys that were taken out of use. */
  retired: string[];
  /** Where the files of retired keys were put. */
  retiredFiles: string[];
}

const DAEMON_TAKES_UP_MS = 15_000;
const LOOK_EVERY_MS = 50;
/** A daemon may seal a secret under the old key in the moment before the new one is primary: then it is done once more. */
const MOST_ROUNDS = 5;

/**
 * Rotates the encryption key: a new one is made or taken, made primary, every secret is put down under it, it is proved that
 * every secret opens, and only then the old key is retired. It may be ended at any instruction and run again; no secret is ever
 * without a key that opens it.
 *
 * @param newKey - The new key; generated when undefined.
 * @throws MailProxyError `key_missing`, changing nothing, where the key comes from outside (environment, secrets file,
 * credential) and the new one is not there yet: the message says what to do. `credential_unreadable` when a secret does not
 * open; what was done stays, and nothing is retired.
 */
export async function rotateKey(
  context: RotationContext,
  newKey: Buffer | undefined,
  options: { dryRun: boolean },
): Promise<RotationResult> {
  const { store } = context;
  const primary = await store.keys.primaryId();
  const keyring = await context.loadKeyring();
  const source = keyring.first;
  if (source === undefined || primary === undefined) {
    throw new MailProxyError(
      'key_missing',
      'The encryption key is not available to this command: nothing was changed.',
    );
  }
  const isExternal = source.kind !== 'server-file';
  const target = isExternal
    ? await externalTarget(context, keyring, source, newKey)
    : await fileTarget(context, keyring, newKey);
  if (newKey !== undefined && keyIdOf(newKey) !== target.id) {
    throw new MailProxyError(
      'usage',
      `A rotation to key ${target.id} is not finished yet: run this without a new key first. Nothing was changed.`,
    );
  }
  if (options.dryRun) {
    const reencrypted = await countNotUnder(store, target.id);
    const retired = (await store.keys.ids()).filter((id) => id !== target.id);
    return { dryRun: true, keyId: target.id, reencrypted, retired, retiredFiles: [] };
  }
  if (target.key !== undefined) await introduce(context, target.id, target.key);
  await makePrimary(context, target);
  const { reencrypted, retired } = await finishRotation(context, target.id);
  const retiredFiles = await putFilesAside(context);
  return { dryRun: false, keyId: target.id, reencrypted, retired, retiredFiles };
}

interface Target {
  id: string;
  source: string;
  /** Set when the key is new and has to be written to the server's directory first. */
  key: Buffer | undefined;
}

/** Where keys come from outside, the first one is the new one once the operator has put it there. */
async function externalTarget(
  { store, daemonRuns }: RotationContext,
  keyring: Keyring,
  first: SourcedKey,
  newKey: Buffer | undefined,
): Promise<Target> {
  const old = await store.keys.primaryId();
  const notUnder = await countNotUnder(store, first.id);
  // An old key that is not retired yet means that an earlier run was cut short.
  const isUnfinished = notUnder > 0 || (await store.keys.ids()).some((id) => id !== first.id);
  const isInPlace = first.id !== old || isUnfinished;
  const wantsAnother = newKey !== undefined && keyIdOf(newKey) !== first.id;
  if (!isInPlace || wantsAnother) throw new MailProxyError('key_missing', howToRotate(first));
  if (daemonRuns() && !(await daemonHolds(store, first.id)))
    throw new MailProxyError('key_missing', howToRestart(first));
  for (const id of (await store.secrets.countByKey()).keys()) {
    if (!keyring.has(id)) {
      throw new MailProxyError(
        'key_missing',
        `The old key ${id} is not available to this command: set MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS to it. Nothing was changed.`,
      );
    }
  }
  return { id: first.id, source: first.source, key: undefined };
}

/** Where the server has its own file, an unfinished rotation is finished first; otherwise a new key is made. */
async function fileTarget(
  context: RotationContext,
  keyring: Keyring,
  newKey: Buffer | undefined,
): Promise<Target> {
  const { store, serverDirectory } = context;
  const primary = keyring.primaryId as string;
  const recorded = await store.keys.list();
  const file = (id: string): string => rotatedKeyFile(serverDirectory, id);
  const unfinished = recorded.find(
    ({ id, retiredAt, source }) => id !== primary && retiredAt === null && source === file(id),
  );
  const newer = recorded.find(({ id }) => id === primary)?.recordedAt ?? 0;
  if (unfinished !== undefined && unfinished.recordedAt >= newer && keyring.has(unfinished.id)) {
    return unfinishedTarget(unfinished.id, unfinished.source, newKey);
  }
  const others = recorded.some(
    ({ id, retiredAt, source }) => id !== primary && retiredAt === null && !source.startsWith('added:'),
  );
  if (
    others &&
    (await store.keys.primaryId()) === primary &&
    recorded.find(({ id }) => id === primary)?.source === file(primary)
  ) {
    return unfinishedTarget(primary, file(primary), newKey);
  }
  const orphan = unrecordedKeyFile(serverDirectory, new Set(recorded.map(({ id }) => id)));
  const key = newKey ?? orphan?.key ?? generateKey();
  const id = keyIdOf(key);
  if (id === primary) {
    throw new MailProxyError(
      'usage',
      'The new key is the one that is in use already: give another. Nothing was changed.',
    );
  }
  return { id, source: file(id), key };
}

/** @throws MailProxyError `usage` when another key was given: it would be left out in silence. */
function unfinishedTarget(id: string, source: string, newKey: Buffer | undefined): Target {
  if (newKey === undefined || keyIdOf(newKey) === id) return { id, source, key: undefined };
  throw new MailProxyError(
    'usage',
    `An earlier rotation, to key ${id}, is not finished: run this without a new key first, then again with it. Nothing was changed.`,
  );
}

/** Writes the key's file and records it, so that a running daemon takes it up. */
async function introduce(
  { store, serverDirectory, by }: RotationContext,
  id: string,
  key: Buffer,
): Promise<void> {
  const path = rotatedKeyFile(serverDirectory, id);
  writeKeyFile(path, key);
  await store.keys.add(id, path, by());
}

/** Makes the key the one that new secrets are sealed under, once a running daemon has it. */
async function makePrimary(
  { store, by, daemonRuns }: RotationContext,
  { id, source }: Target,
): Promise<void> {
  const giveUpAt = Date.now() + DAEMON_TAKES_UP_MS;
  while (daemonRuns() && !(await daemonHolds(store, id))) {
    if (Date.now() > giveUpAt) {
      throw new MailProxyError(
        'start_failed',
        `The running daemon did not take up key ${id}: look into its log, then run this again. No secret was changed.`,
      );
    }
    await sleep(LOOK_EVERY_MS);
  }
  if ((await store.keys.primaryId()) !== id) await store.keys.makePrimary(id, source, by());
}

/**
 * Puts every secret down under the primary key with the keys at hand, proves that all of them open under it alone, and retires
 * the other keys: what a rotation ends with.
 */
export async function finishRotation(
  context: FinishContext,
  id: string,
): Promise<{ reencrypted: number; retired: string[] }> {
  return { reencrypted: await putAllUnder(context, id), retired: await retireOthers(context, id) };
}

async function putAllUnder(context: FinishContext, id: string): Promise<number> {
  const { store, by, onProgress } = context;
  let done = 0;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const keyring = await context.loadKeyring();
    await unlockAudit(store, keyring);
    const total = done + (await countNotUnder(store, id));
    done += await reencryptAll(store, keyring, (written) => onProgress(done + written, total));
    if ((await countNotUnder(store, id)) === 0) break;
  }
  const keyring = await context.loadKeyring();
  const { unreadable } = await verifySecrets(store, keyring.only(id));
  const [first] = unreadable;
  if (first !== undefined) {
    throw new MailProxyError(
      'credential_unreadable',
      `${unreadable.length} secret(s) do not open under the new key, first ${first.what}: ${first.reason}. No key was retired.`,
    );
  }
  if (done > 0) {
    const { actor, now } = by();
    await store.audit.append(
      [{ event: 'secrets.reencrypted', actor, tenantId: null, subject: id, detail: { count: done } }],
      now,
    );
  }
  return done;
}

async function retireOthers({ store, by }: FinishContext, keep: string): Promise<string[]> {
  const retired: string[] = [];
  for (const id of await store.keys.ids()) {
    if (id === keep) continue;
    await store.keys.retire(id, by());
    retired.push(id);
  }
  return retired;
}

/** Puts the files of retired keys aside, also of those that an earlier run did not get to. */
async function putFilesAside({ store, serverDirectory }: RotationContext): Promise<string[]> {
  const moved = (await store.keys.list())
    .filter(({ retiredAt }) => retiredAt !== null)
    .map(({ id }) => retireKeyFile(serverDirectory, id));
  return moved.filter((path) => path !== undefined);
}

async function countNotUnder(store: Store, id: string): Promise<number> {
  const counts = await store.secrets.countByKey();
  return [...counts].reduce((sum, [key, n]) => (key === id ? sum : sum + n), 0);
}

async function daemonHolds(store: Store, id: string): Promise<boolean> {
  return (JSON.parse((await store.settings.get('daemon_key_ids')) ?? '[]') as string[]).includes(id);
}

function howToRotate({ source, kind }: SourcedKey): string {
  const where = kind === 'environment' ? 'MAIL_PROXY_ENCRYPTION_KEY' : source;
  return [
    `The key comes from ${where}, which this command cannot change; nothing was changed.`,
    '1. Make a new key: mail-proxy keygen (for a file: mail-proxy keygen --raw --out FILE).',
    `2. Put it in the place of the old one (${where}), and set MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS (base64) or MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE to the old one.`,
    '3. Restart the daemon with both, run this again with both, and then take the old one away.',
  ].join('\n');
}

function howToRestart({ id }: SourcedKey): string {
  return `The running daemon does not hold the new key ${id} yet; nothing was changed. Restart it with the new key in its place and the old one as MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS, then run this again.`;
}

import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import {
  type Environment,
  findKeys,
  isPublishedKey,
  type SourcedKey,
  serverKeyFile,
} from '../crypto/key-sources.js';
import { Keyring } from '../crypto/keyring.js';
import type { Store } from '../store/store.js';
import { beginAuditChain, unlockAudit } from './audit-chain.js';
import { generateKey, writeKeyFile } from './key-files.js';

/** The keys of a process for one server: where to look. */
export interface KeyPlaces {
  env: Environment;
  serverDirectory: string;
}

/** Builds the keyring of a process from its sources and what the store records; changes nothing. */
export async function loadKeyring(store: Store, places: KeyPlaces): Promise<Keyring> {
  const keys = findKeys(places.env, places.serverDirectory, await store.keys.ids());
  return new Keyring(keys, await store.keys.primaryId());
}

/** What a daemon found at its start. */
export interface UnlockedKeys {
  keyring: Keyring;
  /** Path of the key file that was made just now. */
  createdFile: string | undefined;
  warnings: string[];
}

/** How keys are unlocked. */
export interface UnlockOptions {
  /** Whether a server without any key and any secret gets a key file. */
  mayCreate: boolean;
  /** Whether to go on when stored secrets need keys that are not at hand; what needs them is held. */
  holdUnreadable: boolean;
  by: Change;
}

/**
 * Finds a daemon's keys, makes the first one of a new server, opens the audit trail, and records the first source's key as
 * primary.
 *
 * @throws MailProxyError `key_missing` when there is no key, or stored secrets that none at hand opens; nothing is
 * changed then. `key_invalid` or `unsafe_permissions` naming a source that cannot be used.
 */
export async function unlockKeys(
  store: Store,
  places: KeyPlaces,
  options: UnlockOptions,
): Promise<UnlockedKeys> {
  const recorded = await store.keys.ids();
  let keys = findKeys(places.env, places.serverDirectory, recorded);
  const secrets = await store.secrets.countByKey();
  const missing = missingKeys(keys, secrets);
  if (missing !== undefined && !options.holdUnreadable) {
    const advice = 'Or start with --hold-unreadable, to go on without what needs it.';
    throw new MailProxyError('key_missing', `${missing.message} ${advice}`);
  }
  let createdFile: string | undefined;
  if (keys.length === 0) {
    const needed = secrets.size > 0 && !options.holdUnreadable;
    if (!options.mayCreate || needed) {
      throw new MailProxyError(
        'key_missing',
        'There is no encryption key: set MAIL_PROXY_ENCRYPTION_KEY to the output of "mail-proxy keygen", or mount 32 raw bytes at /run/secrets/encryption_key.',
      );
    }
    createdFile = createKeyFile(places.serverDirectory);
    keys = findKeys(places.env, places.serverDirectory, recorded);
  }
  const first = firstThatEncrypts(keys);
  const keyring = new Keyring(keys, first.id);
  const warnings = keys
    .filter(({ key }) => isPublishedKey(key))
    .map(
      ({ source }) =>
        `The key from ${source} is printed in the documentation and known to everyone: use one of your own.`,
    );
  if (missing !== undefined) warnings.push(`${missing.message} What needs it is held.`);
  if (!(await unlockAudit(store, keyring))) {
    const newest = await store.audit.newestChain();
    const lost = newest !== undefined;
    if (lost && keyring.has(newest.key.keyId)) {
      throw new MailProxyError(
        'credential_unreadable',
        `The key of the audit trail (chain ${newest.chain}) does not open: it was edited outside mail-proxy. Look into it; "audit restart" then begins a new chain.`,
      );
    }
    await beginAuditChain(
      store,
      keyring,
      options.by,
      lost ? 'The key of the chain before was lost.' : undefined,
    );
    if (lost) warnings.push('The key of the audit trail is lost: a new, marked chain begins.');
  }
  if ((await store.keys.primaryId()) !== first.id)
    await store.keys.makePrimary(first.id, first.source, options.by);
  return { keyring, createdFile, warnings };
}

/** The key that writes use. @throws MailProxyError `key_missing` when all only decrypt. */
export function firstThatEncrypts(keys: readonly SourcedKey[]): SourcedKey {
  const first = keys.find((key) => key.kind !== 'previous');
  if (first !== undefined) return first;
  throw new MailProxyError(
    'key_missing',
    'Only MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS is set, which decrypts but never encrypts: set MAIL_PROXY_ENCRYPTION_KEY too.',
  );
}

/** Refuses to go on without keys that stored secrets need, by id and number. @throws MailProxyError `key_missing`. */
export function refuseMissing(keys: readonly SourcedKey[], secrets: ReadonlyMap<string, number>): void {
  const missing = missingKeys(keys, secrets);
  if (missing !== undefined) throw missing;
}

function missingKeys(
  keys: readonly SourcedKey[],
  secrets: ReadonlyMap<string, number>,
): MailProxyError | undefined {
  const have = new Set(keys.map(({ id }) => id));
  const missing = [...secrets].filter(([id]) => !have.has(id));
  if (missing.length === 0) return undefined;
  const waiting = missing.map(([id, n]) => `${n} stored secret(s) need key ${id}`).join(', ');
  return new MailProxyError(
    'key_missing',
    `${waiting}, which is not available: set MAIL_PROXY_ENCRYPTION_KEY (or MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS) to it. Nothing was changed.`,
  );
}

function createKeyFile(serverDirectory: string): string {
  const path = serverKeyFile(serverDirectory);
  writeKeyFile(path, generateKey());
  return path;
}

import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, writeSync } from 'node:fs';
import { MailProxyError } from '../core/errors.js';
import {
  type Environment,
  findKeys,
  isPublishedKey,
  type SourcedKey,
  serverKeyFile,
} from '../crypto/key-sources.js';
import { Keyring } from '../crypto/keyring.js';
import { KEY_BYTES } from '../crypto/secret-box.js';
import type { Store } from '../store/store.js';

/** The keys of a process for one server: where to look. */
export interface KeyPlaces {
  env: Environment;
  serverDirectory: string;
}

/** Builds the keyring of a process from its sources and what the store records; changes nothing. */
export async function loadKeyring(store: Store, places: KeyPlaces): Promise<Keyring> {
  const keys = findKeys(places.env, places.serverDirectory, await store.settings.keyIds());
  return new Keyring(keys, await store.settings.get('primary_key_id'));
}

/** What a daemon found at its start. */
export interface UnlockedKeys {
  keyring: Keyring;
  /** Path of the key file that was made just now. */
  createdFile: string | undefined;
  warnings: string[];
}

/**
 * Finds a daemon's keys, makes the first one of a new server, and records the first source's key as primary.
 *
 * @param mayCreate - Whether a server without any key and any secret gets a key file.
 * @throws MailProxyError `key_missing` when there is no key, or stored secrets that none at hand opens; nothing is
 * changed then. `key_invalid` or `unsafe_permissions` naming a source that cannot be used.
 */
export async function unlockKeys(
  store: Store,
  places: KeyPlaces,
  options: { mayCreate: boolean; now: number },
): Promise<UnlockedKeys> {
  const recorded = await store.settings.keyIds();
  let keys = findKeys(places.env, places.serverDirectory, recorded);
  const secrets = await store.settings.secretsByKey();
  refuseMissing(keys, secrets);
  let createdFile: string | undefined;
  if (keys.length === 0) {
    if (!options.mayCreate) {
      throw new MailProxyError(
        'key_missing',
        'There is no encryption key: set MAIL_PROXY_ENCRYPTION_KEY to the output of "mail-proxy keygen", or mount 32 raw bytes at /run/secrets/encryption_key.',
      );
    }
    createdFile = createKeyFile(places.serverDirectory);
    keys = findKeys(places.env, places.serverDirectory, recorded);
  }
  const first = firstThatEncrypts(keys);
  if ((await store.settings.get('primary_key_id')) !== first.id) {
    await store.settings.recordPrimaryKey(first.id, first.source, options.now);
  }
  const warnings = keys
    .filter(({ key }) => isPublishedKey(key))
    .map(
      ({ source }) =>
        `The key from ${source} is printed in the documentation and known to everyone: use one of your own.`,
    );
  return { keyring: new Keyring(keys, first.id), createdFile, warnings };
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

/** Refuses to go on without keys that stored secrets need, by id and number. */
export function refuseMissing(keys: readonly SourcedKey[], secrets: ReadonlyMap<string, number>): void {
  const have = new Set(keys.map(({ id }) => id));
  const missing = [...secrets].filter(([id]) => !have.has(id));
  if (missing.length === 0) return;
  const waiting = missing.map(([id, n]) => `${n} stored secret(s) need key ${id}`).join(', ');
  throw new MailProxyError(
    'key_missing',
    `${waiting}, which is not available: set MAIL_PROXY_ENCRYPTION_KEY (or MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS) to it. Nothing was changed.`,
  );
}

/** Whole and on disk before anything is sealed with it: a crash leaves no half a key and no secret without one. */
function createKeyFile(serverDirectory: string): string {
  const path = serverKeyFile(serverDirectory);
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    fchmodSync(fd, 0o600);
    writeSync(fd, randomBytes(KEY_BYTES));
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  const directory = openSync(serverDirectory, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
  return path;
}

import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { MailProxyError } from '../core/errors.js';
import { KEY_BYTES, keyIdOf } from './secret-box.js';

/** Environment as `process.env` has it; passed in so that nothing reads the process's own behind one's back. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A key as found, with the name of the place it came from. */
export interface SourcedKey {
  id: string;
  key: Buffer;
  /** For people: `MAIL_PROXY_ENCRYPTION_KEY` or a file's path. */
  source: string;
  kind: 'environment' | 'secrets-file' | 'credentials-directory' | 'server-file' | 'previous';
}

const DEFAULT_SECRETS_FILE = '/run/secrets/encryption_key';

/** SHA-256 of the key that the security document prints as an example: anyone can know it. */
const PUBLISHED_KEY_HASH = createHash('sha256')
  .update(Buffer.from('K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=', 'base64'))
  .digest('hex');

/** Whether a key is the one printed in the documentation, which everybody has. */
export function isPublishedKey(key: Buffer): boolean {
  return createHash('sha256').update(key).digest('hex') === PUBLISHED_KEY_HASH;
}

/**
 * Reads a base64 key strictly: Node decodes garbage happily, so the value must encode back to itself.
 *
 * @throws MailProxyError `key_invalid`, naming the source and never the value.
 */
export function parseBase64Key(text: string, source: string): Buffer {
  const trimmed = text.trim();
  const key = Buffer.from(trimmed, 'base64');
  if (trimmed === '') {
    throw new MailProxyError(
      'key_invalid',
      `${source} is set but empty: unset it or give it a key made by "mail-proxy keygen".`,
    );
  }
  if (key.toString('base64') !== trimmed || key.length !== KEY_BYTES) {
    throw new MailProxyError(
      'key_invalid',
      `${source} is not base64 of exactly 32 bytes: make a key with "mail-proxy keygen".`,
    );
  }
  return key;
}

/** Reads a raw key file: exactly 32 bytes, never trimmed. Undefined when there is no such file. */
export function readRawKeyFile(path: string): Buffer | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw new MailProxyError(
      'key_invalid',
      `The key file ${path} cannot be read (${code ?? 'unknown error'}).`,
    );
  }
  if (bytes.length !== KEY_BYTES) {
    throw new MailProxyError(
      'key_invalid',
      `The key file ${path} must hold exactly 32 raw bytes but holds ${bytes.length}: make one with "mail-proxy keygen --raw --out FILE".`,
    );
  }
  return bytes;
}

function readServerKeyFile(path: string): Buffer | undefined {
  const mode = statSync(path, { throwIfNoEntry: false })?.mode;
  if (mode !== undefined && (mode & 0o077) !== 0) {
    throw new MailProxyError('unsafe_permissions', `${path} can be read by others: run "chmod 600 ${path}".`);
  }
  return readRawKeyFile(path);
}

function requireKeyFile(path: string, variable: string): Buffer {
  const key = readRawKeyFile(path);
  if (key === undefined) {
    throw new MailProxyError('key_invalid', `${variable} names ${path}, which does not exist.`);
  }
  return key;
}

/** The file that the first start of a server without any key makes. */
export function serverKeyFile(serverDirectory: string): string {
  return join(serverDirectory, 'encryption.key');
}

/** The file of a key made by rotation. */
export function rotatedKeyFile(serverDirectory: string, keyId: string): string {
  return join(serverDirectory, 'keys', `${keyId}.key`);
}

/** Where the file of a retired key is put aside: backups made before still need it. */
export function retiredKeyFile(serverDirectory: string, keyId: string): string {
  return join(serverDirectory, 'keys', 'retired', `${keyId}.key`);
}

/**
 * Finds every key this process has, in order of priority: the environment, the secrets file, the systemd
 * credential, the server's own file (or the rotated file that the store records), then the previous keys. The first
 * is the one to encrypt with; the others only decrypt.
 *
 * @param recordedIds - Key ids that the store knows, the primary first, whose rotated files are looked for in the server directory.
 * @throws MailProxyError `key_invalid` or `unsafe_permissions` naming the source that is set but unusable: a bad
 * source is never passed over.
 */
export function findKeys(
  env: Environment,
  serverDirectory: string,
  recordedIds: readonly string[] = [],
): SourcedKey[] {
  const found: SourcedKey[] = [];
  const add = (key: Buffer | undefined, source: string, kind: SourcedKey['kind']): void => {
    if (key !== undefined) found.push({ id: keyIdOf(key), key, source, kind });
  };

  const fromEnv = env.MAIL_PROXY_ENCRYPTION_KEY;
  if (fromEnv !== undefined) {
    add(parseBase64Key(fromEnv, 'MAIL_PROXY_ENCRYPTION_KEY'), 'MAIL_PROXY_ENCRYPTION_KEY', 'environment');
  }

  const movedTo = env.MAIL_PROXY_ENCRYPTION_KEY_FILE;
  if (movedTo === '') {
    throw new MailProxyError(
      'key_invalid',
      'MAIL_PROXY_ENCRYPTION_KEY_FILE is set but empty: unset it or give it a path.',
    );
  }
  if (movedTo !== undefined) {
    add(requireKeyFile(movedTo, 'MAIL_PROXY_ENCRYPTION_KEY_FILE'), movedTo, 'secrets-file');
  } else {
    add(readRawKeyFile(DEFAULT_SECRETS_FILE), DEFAULT_SECRETS_FILE, 'secrets-file');
  }

  const credentials = env.CREDENTIALS_DIRECTORY;
  if (credentials !== undefined && credentials !== '') {
    const path = join(credentials, 'encryption_key');
    add(readRawKeyFile(path), path, 'credentials-directory');
  }

  // In the order of the records, whatever file a key is in: the primary first. A key that was added to decrypt, or that a
  // rotation has only begun with, never goes before it.
  const files = [
    ...recordedIds.map((id) => rotatedKeyFile(serverDirectory, id)),
    serverKeyFile(serverDirectory),
  ];
  const own = files.flatMap((path) => {
    const key = readServerKeyFile(path);
    return key === undefined ? [] : [{ key, path, place: placeOf(keyIdOf(key), recordedIds) }];
  });
  for (const { key, path } of own.sort((a, b) => a.place - b.place)) add(key, path, 'server-file');

  const previous = env.MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS;
  if (previous !== undefined) {
    const variable = 'MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS';
    add(parseBase64Key(previous, variable), variable, 'previous');
  }
  const previousFile = env.MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE;
  if (previousFile === '') {
    throw new MailProxyError(
      'key_invalid',
      'MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE is set but empty: unset it or give it a path.',
    );
  }
  if (previousFile !== undefined) {
    add(requireKeyFile(previousFile, 'MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE'), previousFile, 'previous');
  }
  return found;
}

function placeOf(id: string, recordedIds: readonly string[]): number {
  const place = recordedIds.indexOf(id);
  return place === -1 ? recordedIds.length : place;
}

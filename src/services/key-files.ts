import { randomBytes } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { readRawKeyFile, retiredKeyFile, rotatedKeyFile, serverKeyFile } from '../crypto/key-sources.js';
import { KEY_BYTES, keyIdOf } from '../crypto/secret-box.js';
import { syncPath } from '../store/durable-files.js';

/** Makes 32 random bytes. */
export function generateKey(): Buffer {
  return randomBytes(KEY_BYTES);
}

/**
 * Writes a key whole and on disk before anything is sealed with it: a crash leaves no half a key and no secret without one.
 * A file that is there already is left alone.
 */
export function writeKeyFile(path: string, key: Buffer): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path)) return;
  const temporary = `${path}.new`;
  const fd = openSync(temporary, 'w', 0o600);
  try {
    fchmodSync(fd, 0o600);
    writeSync(fd, key);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(temporary, path);
  syncPath(dirname(path));
  syncPath(dirname(dirname(path)));
}

/**
 * Puts the file of a retired key aside, to `keys/retired/<id>.key`: backups made before still need it.
 *
 * @returns Where it is now; undefined when the key has no file in the server's directory.
 */
export function retireKeyFile(serverDirectory: string, keyId: string): string | undefined {
  const retired = retiredKeyFile(serverDirectory, keyId);
  for (const path of [rotatedKeyFile(serverDirectory, keyId), serverKeyFile(serverDirectory)]) {
    const key = readRawKeyFile(path);
    if (key === undefined || keyIdOf(key) !== keyId) continue;
    mkdirSync(dirname(retired), { recursive: true, mode: 0o700 });
    renameSync(path, retired);
    syncPath(dirname(retired));
    syncPath(dirname(path));
    return retired;
  }
  return undefined;
}

/** A key file that a rotation wrote and did not get to record, by the id in its name. */
export function unrecordedKeyFile(
  serverDirectory: string,
  recorded: ReadonlySet<string>,
): { id: string; key: Buffer } | undefined {
  const folder = join(serverDirectory, 'keys');
  if (!existsSync(folder)) return undefined;
  for (const name of readdirSync(folder).sort()) {
    const id = /^([0-9a-f]{16})\.key$/.exec(name)?.[1];
    if (id === undefined || recorded.has(id)) continue;
    const key = readRawKeyFile(join(folder, name));
    if (key !== undefined && keyIdOf(key) === id) return { id, key };
  }
  return undefined;
}

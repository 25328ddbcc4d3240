import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { findKeys, rotatedKeyFile, serverKeyFile } from '../../src/crypto/key-sources.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { generateKey, retireKeyFile, unrecordedKeyFile, writeKeyFile } from '../../src/services/key-files.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let directory = '';
beforeEach(() => {
  directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-keys-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
});
const modeOf = (path: string) => statSync(path).mode & 0o777;
const write = (key: Buffer, path = rotatedKeyFile(directory, keyIdOf(key))): string => {
  writeKeyFile(path, key);
  return path;
};

test('a key is 32 bytes, and never the same twice', () => {
  const keys = Array.from({ length: 20 }, generateKey);
  expect(new Set(keys.map((key) => key.toString('hex'))).size).toBe(20);
  expect(keys.every((key) => key.length === 32)).toBe(true);
});

test.each([0o000, 0o077, 0o777])(
  'a key file is its owner’s alone under umask %o, and nothing else is left',
  (mask) => {
    const umask = process.umask(mask & 0o077);
    closing(umask, (before) => process.umask(before));
    const key = generateKey();
    const path = write(key);
    expect([modeOf(path), modeOf(join(directory, 'keys'))]).toEqual([0o600, 0o700]);
    expect(readFileSync(path)).toEqual(key);
    expect(readdirSync(join(directory, 'keys'))).toEqual([`${keyIdOf(key)}.key`]);
  },
);

test('half a key that a crash left, readable by all, is written anew and private', () => {
  const key = generateKey();
  const path = rotatedKeyFile(directory, keyIdOf(key));
  mkdirSync(join(directory, 'keys'), { mode: 0o700 });
  writeFileSync(`${path}.new`, 'half');
  chmodSync(`${path}.new`, 0o666);
  write(key);
  expect([readFileSync(path), modeOf(path), existsSync(`${path}.new`)]).toEqual([key, 0o600, false]);
});

test('a file that is there already is left alone', () => {
  const key = generateKey();
  write(key, serverKeyFile(directory));
  write(generateKey(), serverKeyFile(directory));
  expect(readFileSync(serverKeyFile(directory))).toEqual(key);
});

test('a retired key is put aside, not deleted, and is no source of keys any more', () => {
  const [own, rotated] = [generateKey(), generateKey()];
  write(own, serverKeyFile(directory));
  write(rotated);
  for (const key of [own, rotated]) {
    const aside = retireKeyFile(directory, keyIdOf(key)) ?? '';
    expect(aside).toBe(join(directory, 'keys', 'retired', `${keyIdOf(key)}.key`));
    expect([readFileSync(aside), modeOf(aside)]).toEqual([key, 0o600]);
  }
  expect(findKeys({}, directory, [keyIdOf(own), keyIdOf(rotated)])).toEqual([]);
  expect(retireKeyFile(directory, keyIdOf(own))).toBeUndefined();
});

test('the server’s first key file stays while another key is retired', () => {
  write(generateKey(), serverKeyFile(directory));
  expect(retireKeyFile(directory, keyIdOf(generateKey()))).toBeUndefined();
  expect(existsSync(serverKeyFile(directory))).toBe(true);
});

test('only a whole key under its own name is taken for one that was not recorded', () => {
  const recorded = generateKey();
  write(recorded);
  write(generateKey(), rotatedKeyFile(directory, keyIdOf(generateKey())));
  writeFileSync(join(directory, 'keys', 'notes.key'), randomBytes(32));
  expect(unrecordedKeyFile(directory, new Set([keyIdOf(recorded)]))).toBeUndefined();
  const orphan = generateKey();
  write(orphan);
  expect(unrecordedKeyFile(directory, new Set([keyIdOf(recorded)]))).toEqual({
    id: keyIdOf(orphan),
    key: orphan,
  });
  expect(unrecordedKeyFile(join(directory, 'none'), new Set())).toBeUndefined();
});

test('keys of the directory come in the order of the records, in whatever file they are', () => {
  const [own, added] = [generateKey(), generateKey()];
  write(own, serverKeyFile(directory));
  write(added);
  const order = (...ids: string[]) => findKeys({}, directory, ids).map(({ id }) => id);
  expect(order(keyIdOf(own), keyIdOf(added))).toEqual([keyIdOf(own), keyIdOf(added)]);
  expect(order(keyIdOf(added), keyIdOf(own))).toEqual([keyIdOf(added), keyIdOf(own)]);
  expect(order(keyIdOf(added))).toEqual([keyIdOf(added), keyIdOf(own)]);
  expect(order()).toEqual([keyIdOf(own)]);
});

import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { findKeys, isPublishedKey, parseBase64Key, readRawKeyFile } from '../../src/crypto/key-sources.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let directory = '';
beforeEach(() => {
  directory = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-keys-')), (path) =>
    rmSync(path, { recursive: true, force: true }),
  );
});

function file(name: string, bytes: Buffer, mode = 0o600): string {
  const path = join(directory, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
  chmodSync(path, mode);
  return path;
}

const key = () => randomBytes(32);

describe('the keys of a process', () => {
  test('are found in the documented order, previous ones last', () => {
    const [env, secret, credential, rotated, own, previous, previousFile] = Array.from(
      { length: 7 },
      key,
    ) as [Buffer, Buffer, Buffer, Buffer, Buffer, Buffer, Buffer];
    file('credentials/encryption_key', credential, 0o444);
    file(`server/keys/${keyIdOf(rotated)}.key`, rotated);
    file('server/encryption.key', own);
    const found = findKeys(
      {
        MAIL_PROXY_ENCRYPTION_KEY: ` ${env.toString('base64')}\n`,
        MAIL_PROXY_ENCRYPTION_KEY_FILE: file('secret', secret, 0o644),
        CREDENTIALS_DIRECTORY: join(directory, 'credentials'),
        MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS: previous.toString('base64'),
        MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE: file('previous', previousFile),
      },
      join(directory, 'server'),
      [keyIdOf(rotated)],
    );
    expect(found.map(({ id }) => id)).toEqual(
      [env, secret, credential, rotated, own, previous, previousFile].map(keyIdOf),
    );
    expect(found.map(({ kind }) => kind)).toEqual([
      'environment',
      'secrets-file',
      'credentials-directory',
      'server-file',
      'server-file',
      'previous',
      'previous',
    ]);
  });

  test.each([
    ['MAIL_PROXY_ENCRYPTION_KEY', ''],
    ['MAIL_PROXY_ENCRYPTION_KEY', '  '],
    ['MAIL_PROXY_ENCRYPTION_KEY', 'not base64!'],
    ['MAIL_PROXY_ENCRYPTION_KEY', Buffer.alloc(31).toString('base64')],
    ['MAIL_PROXY_ENCRYPTION_KEY', `${Buffer.alloc(32).toString('base64')}AAAA`],
    ['MAIL_PROXY_ENCRYPTION_KEY', Buffer.alloc(32, 0xff).toString('base64url')],
    ['MAIL_PROXY_ENCRYPTION_KEY_FILE', ''],
    ['MAIL_PROXY_ENCRYPTION_KEY_FILE', '/nonexistent/key'],
    ['MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS', ''],
    ['MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS', 'AAAA'],
    ['MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE', ''],
    ['MAIL_PROXY_ENCRYPTION_KEY_PREVIOUS_FILE', '/nonexistent/key'],
  ])('pitfall 9: %s set to %j is an error by its name, never passed over', (name, value) => {
    file('server/encryption.key', key());
    const find = () => findKeys({ [name]: value }, join(directory, 'server'));
    expect(find).toThrow(expect.objectContaining({ code: 'key_invalid' }));
    expect(find).toThrow(new RegExp(`^${name} `));
    if (value.trim().length > 20) expect(find).not.toThrow(new RegExp(value.slice(0, 20)));
  });

  test.each([0, 31, 33, 44])('a key file of %d bytes is refused by its path', (length) => {
    const path = file('server/encryption.key', Buffer.alloc(length));
    expect(() => findKeys({}, join(directory, 'server'))).toThrow(path);
  });

  test("the server's own file must be private; files outside are used whatever their mode", () => {
    const path = file('server/encryption.key', key(), 0o640);
    expect(() => findKeys({}, join(directory, 'server'))).toThrow(
      expect.objectContaining({ code: 'unsafe_permissions' }),
    );
    chmodSync(path, 0o600);
    file('real', key(), 0o444);
    symlinkSync(join(directory, 'real'), join(directory, 'link'));
    expect(
      findKeys({ MAIL_PROXY_ENCRYPTION_KEY_FILE: join(directory, 'link') }, join(directory, 'server')),
    ).toHaveLength(2);
  });
});

test('pitfall 10: a raw key file whose bytes look like white space is not trimmed', () => {
  const bytes = Buffer.concat([Buffer.from(' \t'), randomBytes(28), Buffer.from('\r\n')]);
  expect(readRawKeyFile(file('white', bytes))).toEqual(bytes);
  expect(readRawKeyFile(join(directory, 'missing'))).toBeUndefined();
});

test('the key that the documentation prints is recognised', () => {
  expect(isPublishedKey(parseBase64Key('K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=', 'x'))).toBe(true);
  expect(isPublishedKey(key())).toBe(false);
});

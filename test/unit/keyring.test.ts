import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import type { SourcedKey } from '../../src/crypto/key-sources.js';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';

function sourced(kind: SourcedKey['kind'] = 'environment'): SourcedKey {
  const key = randomBytes(32);
  return { id: keyIdOf(key), key, source: 'test', kind };
}

test('a keyring seals under the recorded primary and opens under the key that the row names', () => {
  const [first, second] = [sourced(), sourced('previous')];
  const old = new Keyring([second], second.id).seal('old', 'here');
  const ring = new Keyring([first, second], first.id);
  expect(ring.canSeal).toBe(true);
  expect(ring.seal('new', 'here').keyId).toBe(first.id);
  expect(ring.open(old, 'here', 'It')).toBe('old');
});

test('a process without the primary key opens what it can but seals nothing', () => {
  const [primary, other] = [sourced(), sourced()];
  const sealed = new Keyring([primary], primary.id).seal('s', '');
  const ring = new Keyring([other], primary.id);
  expect(ring.canSeal).toBe(false);
  expect(() => ring.seal('s', '')).toThrow(expect.objectContaining({ code: 'key_missing', exitCode: 4 }));
  expect(() => ring.open(sealed, '', 'It')).toThrow(expect.objectContaining({ code: 'key_missing' }));
  expect(() => new Keyring([], undefined).seal('s', '')).toThrow(/keygen/);
});

test('a value that was moved says so and shows neither itself nor the secret', () => {
  const key = sourced();
  const ring = new Keyring([key], key.id);
  const sealed = ring.seal('hunter2', 'here');
  const open = () => ring.open(sealed, 'there', 'The password of account "a"');
  expect(open).toThrow(expect.objectContaining({ code: 'credential_unreadable' }));
  expect(open).toThrow(/^The password of account "a" does not open/);
  expect(open).not.toThrow(/hunter2|ENC:/);
});

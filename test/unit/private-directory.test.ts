import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { makePrivateDirectory } from '../../src/config/private-directory.js';
import { useCleanup } from '../support/cleanup.js';

const closing = useCleanup();
let root = '';
beforeEach(() => {
  root = closing(mkdtempSync(join(tmpdir(), 'mail-proxy-dir-')), (path) => rmSync(path, { recursive: true }));
});

const mode = (path: string): number => statSync(path).mode & 0o777;

test('is for its owner alone, whatever the umask, with every parent that had to be made', () => {
  closing(process.umask(0), (before) => process.umask(before));
  makePrivateDirectory(join(root, 'a', 'b'));
  expect([mode(join(root, 'a')), mode(join(root, 'a', 'b'))]).toEqual([0o700, 0o700]);
});

test.each(['/proc/mail-proxy/x', '/dev/null/x'])(
  'where none can be made, %s, it ends and says so',
  (path) => {
    expect(() => makePrivateDirectory(path)).toThrow(expect.objectContaining({ code: 'start_failed' }));
  },
);

test('a file in its place is told', () => {
  writeFileSync(join(root, 'taken'), '');
  expect(() => makePrivateDirectory(join(root, 'taken'))).toThrow(
    expect.objectContaining({ code: 'start_failed' }),
  );
});

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { useCleanup } from '../support/cleanup.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const cleanup = useCleanup();

it('oclif.manifest.json is what the built commands say', async () => {
  const directory = cleanup(await mkdtemp(join(tmpdir(), 'manifest-')), (path) =>
    rm(path, { recursive: true }),
  );
  const fresh = join(directory, 'oclif.manifest.json');
  await promisify(execFile)(process.execPath, ['scripts/manifest.js', fresh], { cwd: root });
  const committed = await readFile(join(root, 'oclif.manifest.json'), 'utf8');
  expect(committed === (await readFile(fresh, 'utf8')), 'Run `npm run build` and commit the manifest.').toBe(
    true,
  );
});

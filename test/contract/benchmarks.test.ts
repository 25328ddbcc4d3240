import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/config/package-root.js';

const folder = join(packageRoot(), 'bench');
const files = readdirSync(folder).filter((name) => name.endsWith('.js') && name !== 'run.js');

test.each(files)('the benchmark %s has all that it needs', async (name) => {
  const loaded: Record<string, unknown> = await import(pathToFileURL(join(folder, name)).href);
  expect(Object.values(loaded).every((value) => typeof value === 'function')).toBe(true);
});

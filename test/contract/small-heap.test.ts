import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { packageRoot } from '../../src/config/package-root.js';

const SMALL_HEAP = pathToFileURL(join(packageRoot(), 'lib', 'config', 'small-heap.js')).href;

/** Makes garbage of which a part lives for a while, as of messages, and prints how large the young generation became. */
const script = (keepSmall: boolean) => `
import { getHeapSpaceStatistics } from 'node:v8';
import { Worker } from 'node:worker_threads';
import { keepHeapSmall } from ${JSON.stringify(SMALL_HEAP)};
const keep = ${keepSmall} ? keepHeapSmall : () => undefined;
keep();
const work = async () => {
  let live = [];
  for (let i = 0; i < 3_000_000; i++) {
    live.push({ i, text: 'x' + i });
    if (live.length === 50_000) live = [];
    if (i % 10_000 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
};
await work();
const thread = new Worker('setInterval(() => undefined, 1000)', { eval: true });
await new Promise((resolve) => thread.once('online', resolve));
keep();
await work();
console.log(getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size);
await thread.terminate();
`;

const youngAfterWork = async (keepSmall: boolean) => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script(keepSmall),
  ]);
  return Number(stdout) / 1024 / 1024;
};

test('the young generation of a heap stays small under load, also after a thread was started', async () => {
  expect(await youngAfterWork(true)).toBeLessThanOrEqual(17);
  // Else there would be nothing to keep small.
  expect(await youngAfterWork(false)).toBeGreaterThan(30);
});

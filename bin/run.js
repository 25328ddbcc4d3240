#!/usr/bin/env node
// Routes the scoped arguments and hands over to oclif. What must be instant is answered before oclif is loaded.
import { readFileSync } from 'node:fs';

const argv = process.argv.slice(2);
if (argv.length === 1 && (argv[0] === '--version' || argv[0] === 'version')) {
  process.stdout.on('error', () => undefined);
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  process.stdout.write(`${version}\n`);
} else if (argv[0] === '__complete') {
  const { answerCompletion } = await import('../lib/cli/complete.js');
  answerCompletion(argv.slice(argv[1] === '--' ? 2 : 1), new URL('../oclif.manifest.json', import.meta.url));
} else {
  if (argv.includes('serve') || argv.includes('--foreground')) await keepHeapSmall();
  const { main } = await import('../lib/cli/main.js');
  await main(argv, import.meta.url);
}

/**
 * Keeps the young generation of a daemon's heaps small. Left alone it grows to three times 16 MB in each thread, although hardly anything
 * that is made for a message outlives it: a daemon under load then needs 40 MB less and sends no slower. Before all else, while it
 * has not grown yet.
 */
async function keepHeapSmall() {
  const { setFlagsFromString } = await import('node:v8');
  setFlagsFromString('--semi-space-growth-factor=1');
  setFlagsFromString('--min-semi-space-size=4');
}

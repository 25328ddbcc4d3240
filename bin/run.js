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
  if (argv.includes('serve') || argv.includes('--foreground')) {
    const { keepHeapSmall } = await import('../lib/config/small-heap.js');
    keepHeapSmall();
  }
  const { main } = await import('../lib/cli/main.js');
  await main(argv, import.meta.url);
}

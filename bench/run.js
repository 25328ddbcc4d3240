// Runs the benchmarks named on the command line, or all of them, prints their ratios and writes them as JSON.
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { drain } from './drain.js';
import { enqueue } from './enqueue.js';
import { latency } from './latency.js';
import { rotation } from './rotation.js';
import { scale } from './scale.js';
import { startup } from './startup.js';

const BENCHMARKS = { startup, rotation, enqueue, drain, latency, scale };

const wanted = process.argv.slice(2);
const names = wanted.length === 0 ? Object.keys(BENCHMARKS) : wanted;
const results = {};
for (const name of names) {
  const run = BENCHMARKS[name];
  if (run === undefined) {
    process.stderr.write(`There is no benchmark "${name}": ${Object.keys(BENCHMARKS).join(', ')}.\n`);
    process.exit(2);
  }
  process.stdout.write(`${name}\n`);
  results[name] = await run((line) => process.stdout.write(`  ${line}\n`));
}
const folder = fileURLToPath(new URL('results/', import.meta.url));
mkdirSync(folder, { recursive: true });
const file = `${folder}${new Date().toISOString().replaceAll(':', '-')}.json`;
const machine = { node: process.version, cpus: cpus().length, model: cpus()[0]?.model };
writeFileSync(file, `${JSON.stringify({ machine, results }, null, 2)}\n`);
process.stdout.write(`Written to ${file}\n`);

#!/usr/bin/env node
// Runs the sources as they are: compiles what has changed, then does what bin/run.js does.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const compiled = spawnSync(
  process.execPath,
  [
    'node_modules/typescript/bin/tsc',
    '-p',
    'tsconfig.json',
    '--incremental',
    '--tsBuildInfoFile',
    'dist/dev.tsbuildinfo',
  ],
  { cwd: root, stdio: ['ignore', 2, 2] },
);
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
// A bundle or manifest that is older than the commands would hide new ones.
for (const script of ['scripts/bundle.js', 'scripts/manifest.js']) {
  spawnSync(process.execPath, [script], { cwd: root, stdio: ['ignore', 2, 2] });
}
await import('./run.js');

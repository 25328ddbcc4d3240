// Bundles the command line into few files: nearly all of a command's start is loading modules, and oclif alone has more than a
// hundred. What is heavy or native stays outside and is loaded only by the commands that need it.
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));
const { dependencies } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8'));
const INSIDE = [
  '@oclif/core',
  'hono',
  '@hono/node-server',
  '@hono/zod-openapi',
  'zod',
  'ipaddr.js',
  'nodemailer',
];
const outside = Object.keys(dependencies).filter((name) => !INSIDE.includes(name));
const isOutside = (id) => outside.some((name) => id === name || id.startsWith(`${name}/`));

const entries = [
  'cli/main',
  'cli/complete',
  'cli/help',
  'cli/command-not-found',
  'config/small-heap',
  'delivery/sender-thread',
];
for (const file of readdirSync(`${root}/dist/commands`, { recursive: true })) {
  if (file.endsWith('.js')) entries.push(`commands/${file.slice(0, -3)}`);
}

rmSync(`${root}/lib`, { recursive: true, force: true });
const bundle = await rolldown({
  cwd: root,
  platform: 'node',
  input: Object.fromEntries(entries.sort().map((name) => [name, `dist/${name}.js`])),
  external: isOutside,
  logLevel: 'silent',
});
await bundle.write({
  dir: 'lib',
  format: 'esm',
  entryFileNames: '[name].js',
  chunkFileNames: 'chunks/[name]-[hash].js',
  banner:
    "import { dirname as __d } from 'node:path'; import { fileURLToPath as __f } from 'node:url'; const __filename = __f(import.meta.url); const __dirname = __d(__filename);",
});
await bundle.close();

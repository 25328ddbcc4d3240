// Writes oclif.manifest.json from the built commands, so that the CLI starts without importing any of them.
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Plugin } from '@oclif/core';

const root = fileURLToPath(new URL('..', import.meta.url));
const plugin = new Plugin({
  errorOnManifestCreate: true,
  ignoreManifest: true,
  respectNoCacheDefault: true,
  root,
});
await plugin.load();
// oclif lists commands in the order of the file system, which differs between machines.
const commands = Object.fromEntries(
  Object.entries(plugin.manifest.commands).sort(([a], [b]) => (a < b ? -1 : 1)),
);
const manifest = `${JSON.stringify({ ...plugin.manifest, commands }, null, 2)}\n`;
await writeFile(process.argv[2] ?? `${root}/oclif.manifest.json`, manifest);

// Makes better-sqlite3's native part, unless it is there: a ready-made binary where one can be had, else compiled against the headers
// that lie beside this very Node, so that neither a download nor any setting of npm is needed. The package's own install
// script, which knows only the download, is switched off in package.json (allowScripts).
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const require = createRequire(import.meta.url);
const manifest = require.resolve('better-sqlite3/package.json');
const folder = dirname(manifest);

function run(args, env = {}) {
  const { status } = spawnSync(process.execPath, args, {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0;
}

const isThere = () =>
  spawnSync(process.execPath, ['-e', "new (require('better-sqlite3'))(':memory:')"], {
    cwd: folder,
    stdio: 'ignore',
  }).status === 0;

function nodeGyp() {
  const given = process.env.npm_config_node_gyp;
  if (given !== undefined && existsSync(given)) return given;
  const prefix = dirname(dirname(process.execPath));
  return join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js');
}

if (!isThere()) {
  process.stderr.write('Preparing better-sqlite3: where it has to be compiled this takes about a minute.\n');
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node.h')) ? { npm_config_nodedir: prefix } : {};
  const downloaded = run([createRequire(manifest).resolve('prebuild-install/bin.js')]) && isThere();
  if (!downloaded && !(run([nodeGyp(), 'rebuild', '--release'], headers) && isThere())) {
    process.stderr.write('better-sqlite3 could not be made: it needs a C++ compiler, make and Python 3.\n');
    process.exit(1);
  }
}

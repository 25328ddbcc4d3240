// How long commands take from the shell, as a ratio to node doing nothing. The commands take turns, so that a machine
// that becomes slower for a while slows all of them; the ratio is made pair by pair.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { median } from './statistics.js';

const ROUNDS = 21;
const ENTRY = fileURLToPath(new URL('../bin/run.js', import.meta.url));

/** Bounds that the project holds itself to. */
const WANTED = { '--version': 2.4, 'accounts list': 3.2 };

export async function startup(print) {
  const home = mkdtempSync(join(tmpdir(), 'mail-proxy-bench-'));
  const env = { ...process.env, MAIL_PROXY_HOME: home, MAIL_PROXY_SMTP_PASSWORD: 'bench' };
  const cli = (...args) => {
    const { status, stderr } = spawnSync(process.execPath, [ENTRY, ...args], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  };
  try {
    cli('start', 'bench');
    cli('bench', 'tenants', 'add', 'acme');
    cli('bench', 'acme', 'accounts', 'add', '--host', 'smtp.example.com', '--user', 'u');
    return measure(env, print);
  } finally {
    cli('stop', 'bench');
    rmSync(home, { recursive: true });
  }
}

function measure(env, print) {
  const commands = {
    'node -e 0': ['-e', '0'],
    '--version': [ENTRY, '--version'],
    'accounts list': [ENTRY, 'bench', 'acme', 'accounts', 'list'],
  };
  const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
  for (let round = -1; round < ROUNDS; round++) {
    for (const [name, args] of Object.entries(commands)) {
      const began = process.hrtime.bigint();
      spawnSync(process.execPath, args, { env, stdio: 'ignore' });
      // The first round only warms the disk cache.
      if (round >= 0) times[name].push(Number(process.hrtime.bigint() - began) / 1e6);
    }
  }
  const nothing = times['node -e 0'];
  const results = { 'node -e 0': { medianMs: median(nothing) } };
  print(`node -e 0: ${median(nothing).toFixed(0)} ms (median of ${ROUNDS})`);
  for (const [name, wanted] of Object.entries(WANTED)) {
    const ratio = median(times[name].map((time, round) => time / nothing[round]));
    results[name] = { medianMs: median(times[name]), ratio, wanted };
    print(
      `${name}: ${median(times[name]).toFixed(0)} ms, ${ratio.toFixed(2)} times node -e 0 (at most ${wanted})`,
    );
  }
  return results;
}

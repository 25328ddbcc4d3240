// The installed daemon on a throw-away home, as the benchmarks drive it.
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import Database from 'better-sqlite3';
import { createClient } from '../../dist/client/index.js';
import { wireMessage } from './messages.js';
import { freePort } from './sink.js';

export { nodemailerMessage, wireMessage } from './messages.js';

const ENTRY = fileURLToPath(new URL('../../bin/run.js', import.meta.url));
const SAMPLER = new URL('loop-delay.js', import.meta.url).href;
const ADMIN = 'bench-admin-token-of-no-value';
const FILL_BATCH = 1000;
const MIB = 1024 * 1024;

/** The token of a benchmark's tenant. */
export function tokenOf(tenantId) {
  return `bench-token-of-${tenantId}`;
}

/** A server of its own home, which `remove` takes away again. */
export class BenchServer {
  #home = mkdtempSync(join(tmpdir(), 'mail-proxy-bench-'));
  #key = randomBytes(32).toString('base64');
  #child;
  #ended;
  port;

  get database() {
    return join(this.#home, 'bench', 'mail_service.db');
  }

  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the daemon and waits until it serves; with `sending: false` it only takes messages in. */
  async start({ sending = true, nodeFlags = [] } = {}) {
    this.port ??= await freePort();
    const log = openSync(join(this.#home, 'log'), 'a');
    this.#child = spawn(
      process.execPath,
      [...nodeFlags, '--import', SAMPLER, ENTRY, 'serve', 'bench', '--port', String(this.port)],
      {
        stdio: ['ignore', log, log],
        env: {
          PATH: process.env.PATH,
          HOME: this.#home,
          MAIL_PROXY_HOME: this.#home,
          MAIL_PROXY_ENCRYPTION_KEY: this.#key,
          GMP_API_TOKEN: ADMIN,
          GMP_SCHEDULER_ACTIVE: String(sending),
          BENCH_LOOP_DELAY: this.#sample,
        },
      },
    );
    closeSync(log);
    this.#ended = once(this.#child, 'exit');
    const client = this.#client(ADMIN);
    const giveUpAt = Date.now() + 30_000;
    for (;;) {
      try {
        return await client.health();
      } catch (error) {
        if (this.#child.exitCode !== null || Date.now() > giveUpAt)
          throw new Error(`The daemon does not serve: ${readFileSync(join(this.#home, 'log'), 'utf8')}`, {
            cause: error,
          });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  }

  async stop() {
    if (this.#child === undefined) return;
    this.#child.kill('SIGTERM');
    await this.#ended;
    this.#child = undefined;
  }

  async remove() {
    await this.stop();
    rmSync(this.#home, { recursive: true, force: true });
  }

  /** Makes a tenant with one account on the given port of this machine. */
  async addTenant(tenantId, port, { connections = 10 } = {}) {
    const admin = this.#client(ADMIN);
    await admin.putTenant({ tenant_id: tenantId, token: tokenOf(tenantId) });
    await admin.putAccount({
      tenant_id: tenantId,
      id: 'smtp1',
      host: '127.0.0.1',
      port,
      tls: 'none',
      max_connections: connections,
    });
  }

  /** Queues messages in large batches. */
  async fill(tenantId, count, changes = {}, prefix = 'm') {
    const client = this.clientOf(tenantId);
    for (let from = 0; from < count; from += FILL_BATCH) {
      const size = Math.min(FILL_BATCH, count - from);
      const messages = Array.from({ length: size }, (_, i) => wireMessage(`${prefix}${from + i}`, changes));
      const { queued } = await client.addMessages({ messages });
      if (queued !== size) throw new Error(`Only ${queued} of ${size} messages were queued.`);
    }
  }

  clientOf(tenantId) {
    const client = this.#client(tokenOf(tenantId));
    return {
      addMessages: (batch) => client.addMessages(batch),
      suspend: () => client.suspend(undefined),
      activate: () => client.activate(undefined),
    };
  }

  /** Reads the database beside the daemon. */
  look() {
    return new Database(this.database, { readonly: true, timeout: 5000 });
  }

  /** Begins to sample the delay of the daemon's event loop; call what it gives for the result in milliseconds. */
  async sampleLoopDelay() {
    this.#child.kill('SIGUSR2');
    return async () => {
      this.#child.kill('SIGUSR2');
      for (;;) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        try {
          return JSON.parse(readFileSync(this.#sample, 'utf8'));
        } catch (error) {
          if (error.code !== 'ENOENT' && !(error instanceof SyntaxError)) throw error;
        }
      }
    };
  }

  /** Resident memory of the daemon in MiB: now, and the most it ever had. */
  memory() {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    const of = (name) => (Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)[1]) * 1024) / MIB;
    return { now: of('VmRSS'), most: of('VmHWM') };
  }

  get #sample() {
    return join(this.#home, 'loop-delay.json');
  }

  #client(token) {
    return createClient({ url: this.url, token });
  }
}

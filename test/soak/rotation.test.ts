import { spawn } from 'node:child_process';
import { once } from 'node:events';
import Database from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { openServer } from '../../src/services/open-server.js';
import { verifySecrets } from '../../src/services/reencrypt.js';
import { until } from '../support/processes.js';
import { cliEnvironment, PROGRAM } from '../support/run-cli.js';
import { startSmtpServer } from '../support/smtp-servers.js';
import { message, TestServer } from '../support/test-server.js';
import { scale } from './scale.js';

const CREDENTIALS = scale(10_000, 1500);
const USED = scale(200, 20);
const MESSAGES = scale(2000, 200);
const KILLS_INSIDE = scale(42, 3);
const KILLS_ELSEWHERE = scale(8, 1);
const AT_ONCE = 32;

/** Does `work` for each number below `count`, some at once. */
async function forEach(count: number, work: (n: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function serverWithCredentials(
  afterTest: Parameters<typeof TestServer.running>[0],
  port: number,
  password: (n: number) => string,
): Promise<TestServer> {
  const server = await TestServer.running(afterTest);
  await server.admin.putTenant({ tenant_id: 'acme' });
  await forEach(CREDENTIALS, (n) =>
    server.admin.putAccount({
      id: `a${n}`,
      tenant_id: 'acme',
      host: '127.0.0.1',
      port,
      tls: 'none',
      user: `user${n}`,
      password: password(n),
      max_connections: 1,
    }),
  );
  return server;
}

/** Every secret opens with the keys on disk, and none is under a key that was retired. */
async function everySecretOpens(server: TestServer): Promise<void> {
  const { context, close } = await openServer(server.name, server.directory, {});
  try {
    expect((await verifySecrets(context.store, context.keyring)).unreadable).toEqual([]);
    const needed = await context.store.secrets.countByKey();
    for (const { id, retiredAt } of await context.store.keys.list()) {
      if (retiredAt !== null) expect(needed.get(id), `secrets under the retired key ${id}`).toBeUndefined();
    }
  } finally {
    await close();
  }
}

describe('rotation of the encryption key', () => {
  it(`of ${CREDENTIALS} credentials while ${MESSAGES} messages go out over ${USED} of those accounts: none lost, none refused`, async ({
    onTestFinished,
  }) => {
    const password = (n: number): string => `secret-${n}`;
    const smtp = await startSmtpServer({
      tls: 'none',
      accepts: (user, given) => given === password(Number(user.slice('user'.length))),
    });
    onTestFinished(() => smtp.close());
    const server = await serverWithCredentials(onTestFinished, smtp.port, password);
    const batch = Array.from({ length: MESSAGES }, (_, n) =>
      message(`m${n}`, { tenant_id: 'acme', account_id: `a${n % USED}` }),
    );
    const rotation = server.json('rotate-key');
    for (let from = 0; from < MESSAGES; from += 100) {
      const { queued } = await server.admin.addMessages({ messages: batch.slice(from, from + 100) });
      expect(queued).toBe(Math.min(100, MESSAGES - from));
    }
    expect(await rotation).toMatchObject({ exit: 0, ok: true });
    await smtp.waitFor(MESSAGES);
    await until(
      async () => (await server.admin.status()).pending_messages === 0,
      'every message has its outcome',
    );
    const ids = smtp.messages.map(({ raw }) => /^X-Genro-Mail-ID: (\S+)/m.exec(raw.toString())?.[1]);
    expect(new Set(ids).size).toBe(MESSAGES);
    expect(ids).toHaveLength(MESSAGES);
    expect((await server.admin.listMessages({ tenant_id: 'acme', status: 'error' })).messages).toEqual([]);
    expect((await server.json('audit', 'list', '--event', 'account.held')).events).toEqual([]);
    expect((await server.admin.listKeys()).filter(({ secrets }) => secrets > 0)).toHaveLength(1);
    await everySecretOpens(server);
  }, 600_000);

  it(`killed ${KILLS_INSIDE} times inside the re-encryption and ${KILLS_ELSEWHERE} times elsewhere: every secret opens, and the next run goes on`, async ({
    onTestFinished,
  }) => {
    const server = await serverWithCredentials(onTestFinished, 2525, (n) => `secret-${n}`);
    await server.stop();
    const raw = new Database(server.file('mail_service.db'), { readonly: true, timeout: 5000 });
    onTestFinished(() => void raw.close());
    const primary = raw.prepare("SELECT value FROM settings WHERE name = 'primary_key_id'").pluck();
    const done = raw.prepare('SELECT COUNT(*) FROM accounts WHERE password_key_id = ?').pluck();

    const rotate = () =>
      spawn(process.execPath, [PROGRAM, server.name, 'rotate-key', '--json'], {
        env: cliEnvironment(server.env),
        stdio: 'ignore',
      });
    let inside = 0;
    let round = 0;
    while (inside < KILLS_INSIDE) {
      const child = rotate();
      const exited = once(child, 'exit');
      const before = primary.get() as string;
      const begun = done.get(before) as number;
      // A rotation that was cut short has its key as primary already; a new one makes another.
      const threshold = Math.random() * CREDENTIALS * 0.8;
      for (;;) {
        const now = primary.get() as string;
        const count = done.get(now) as number;
        const isMoving = now !== before || count !== begun;
        if (isMoving && count < CREDENTIALS && count >= Math.min(threshold, begun + 1)) break;
        if (child.exitCode !== null) break;
        await new Promise((resolve) => setImmediate(resolve));
      }
      child.kill('SIGKILL');
      await exited;
      const left = CREDENTIALS - (done.get(primary.get()) as number);
      if (left > 0 && left < CREDENTIALS) inside++;
      await everySecretOpens(server);
      round++;
      expect(round, 'rotations that were to be killed').toBeLessThan(KILLS_INSIDE * 4);
    }
    for (let n = 0; n < KILLS_ELSEWHERE; n++) {
      const child = rotate();
      const exited = once(child, 'exit');
      await Promise.race([exited, new Promise((resolve) => setTimeout(resolve, Math.random() * 500))]);
      child.kill('SIGKILL');
      await exited;
      await everySecretOpens(server);
    }
    expect(await server.json('rotate-key')).toMatchObject({ exit: 0, ok: true });
    await everySecretOpens(server);
    expect(done.get(primary.get())).toBe(CREDENTIALS);
    await server.start();
    expect((await server.admin.verifyKeys()).ok).toBe(true);
  }, 900_000);
});

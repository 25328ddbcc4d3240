import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { describe, it } from 'vitest';
import { isServerLocked } from '../../src/store/server-lock.js';
import {
  ended,
  freePort,
  isAlive,
  processesNaming,
  processStat,
  processTexts,
  until,
} from '../support/processes.js';
import { cliEnvironment, PROGRAM, runCli } from '../support/run-cli.js';
import { startSmtpServer } from '../support/smtp-servers.js';
import { type AfterTest, message, TestServer, untilStatus } from '../support/test-server.js';

const TOKEN = 'admin-token-of-the-environment';
const KEY = Buffer.alloc(32, 7).toString('base64');

/** A program of somebody else that holds a port. */
async function occupy(afterTest: AfterTest, port: number): Promise<{ leave(): Promise<void> }> {
  const server = createServer();
  // Whoever else holds it already serves the purpose as well.
  await new Promise<void>((resolve) =>
    server.once('error', () => resolve()).listen(port, '127.0.0.1', resolve),
  );
  const leave = async () => {
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  afterTest(leave);
  return { leave };
}

/** The daemon as `serve` in the foreground, a child of the test. */
function serveInForeground(
  afterTest: AfterTest,
  server: TestServer,
  env: Record<string, string>,
  ...flags: string[]
) {
  const child = spawn(process.execPath, [PROGRAM, 'serve', server.name, ...flags], {
    env: cliEnvironment({ ...server.env, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ends = once(child, 'close').then(([code]) => code as number | null);
  afterTest(async () => {
    child.kill('SIGKILL');
    await ends;
  });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  return {
    child,
    ends,
    said: () => ({ log, stdout }),
    async logs(words: string) {
      while (!log.includes(words)) {
        await Promise.race([once(child.stderr, 'data'), ends]);
        if (child.exitCode !== null && !log.includes(words))
          throw new Error(`It ended without "${words}": ${log}`);
      }
    },
  };
}

/** Files of a directory, and it itself, that others than the owner may read, write or enter. */
function openToOthers(directory: string): string[] {
  const all = [
    directory,
    ...readdirSync(directory, { recursive: true }).map((name) => join(directory, String(name))),
  ];
  return all.filter((path) => (statSync(path).mode & 0o077) !== 0);
}

describe.concurrent('start', () => {
  it('answers health at once, from a session of its own, and shows no secret to the machine', async ({
    onTestFinished,
    expect,
  }) => {
    const env = { GMP_API_TOKEN: TOKEN, MAIL_PROXY_ENCRYPTION_KEY: KEY };
    const server = await TestServer.create(onTestFinished, { env });
    const started = await server.start();
    expect(await (await fetch(`${server.url}/health`)).json()).toMatchObject({ ok: true });
    expect(processStat(server.pid)).toMatchObject({ session: server.pid });
    expect(started.admin_token).toBeUndefined();
    await server.addTenant();
    const { command, environment } = processTexts(server.pid);
    expect(command).toContain('serve');
    for (const secret of [TOKEN, KEY]) {
      expect(command + environment + server.log).not.toContain(secret);
    }
  });

  it('prints URL, pid, token and key file for people, the token once', async ({ onTestFinished, expect }) => {
    const server = await TestServer.create(onTestFinished);
    const first = await server.run('start', '--port', String(await freePort()));
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(
      /^Server alpha serves http:\/\/127\.0\.0\.1:\d+ \(pid \d+\)\.\nAdmin token \(shown once\): \S{40,}\n$/,
    );
    expect(first.stderr).toContain(server.file('encryption.key'));
    expect(await server.run('stop')).toMatchObject({ code: 0, stdout: 'Stopped server alpha.\n' });
    expect(await server.run('stop')).toMatchObject({ code: 0, stdout: 'Server alpha was not running.\n' });
    const second = await server.run('start');
    expect(second).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringMatching(/^Server alpha serves [^\n]+\n$/),
    });
  });

  it('makes a daemon that outlives its terminal (SIGHUP) and whoever started it', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    const port = await freePort();
    const starter = spawn(process.execPath, [PROGRAM, 'start', server.name, '--port', String(port)], {
      env: cliEnvironment(server.env),
      stdio: 'ignore',
    });
    await until(() => existsSync(server.file('mail_service.db.lock')), 'the daemon begins to start');
    starter.kill('SIGKILL');
    await once(starter, 'close');
    const answers = () =>
      fetch(`http://127.0.0.1:${port}/health`).then(
        (response) => response.ok,
        () => false,
      );
    await until(answers, 'the daemon serves although its starter is gone');
    const { pid } = (await server.json('status')) as { pid?: number };
    process.kill(pid as number, 'SIGHUP');
    await until(() => server.log.includes('The terminal was closed'), 'the signal arrived');
    expect(await answers()).toBe(true);
  });

  it('on a port that another program holds says so, and the token that is made later is still shown', async ({
    onTestFinished,
    expect,
  }) => {
    const port = await freePort();
    await occupy(onTestFinished, port);
    const server = await TestServer.create(onTestFinished);
    const busy = await server.json('start', '--port', String(port));
    expect(busy).toMatchObject({
      exit: 1,
      ok: false,
      code: 'port_in_use',
      error: expect.stringContaining(String(port)),
    });
    expect(existsSync(server.file('encryption.key'))).toBe(false);
    const started = await server.start();
    expect(started.admin_token).toMatch(/^mpa_/);
    await server.admin.status();
  });

  it('of a new server takes the next free port when 8000 is busy, and keeps it', async ({
    onTestFinished,
    expect,
  }) => {
    const holder = await occupy(onTestFinished, 8000);
    const server = await TestServer.running(onTestFinished, { port: null });
    const { port } = server;
    expect(port).toBeGreaterThan(8000);
    await server.stop();
    await holder.leave();
    // Other new servers of this machine may pass by on that port meanwhile.
    await until(
      () =>
        server.start().then(
          () => true,
          (error: Error) => !error.message.includes(`Port ${port} `),
        ),
      'its port is free',
    );
    expect(server.port).toBe(port);
  });

  it('runs two servers at once, each with its own port and token, but never two daemons of one', async ({
    onTestFinished,
    expect,
  }) => {
    const alpha = await TestServer.running(onTestFinished);
    const beta = await TestServer.running(onTestFinished, { name: 'beta', beside: alpha });
    const { stdout } = await runCli(['list', '--json'], alpha.env);
    expect(JSON.parse(stdout)).toMatchObject({
      servers: [
        { server: 'alpha', state: 'running', pid: alpha.pid },
        { server: 'beta', state: 'running', pid: beta.pid },
      ],
    });
    const wrong = await fetch(`${beta.url}/status`, { headers: { 'X-API-Token': alpha.adminToken } });
    expect(wrong.status).toBe(401);
    expect(await alpha.json('start')).toMatchObject({ exit: 1, ok: false, code: 'daemon_running' });
    const serve = await alpha.runWith({ env: { GMP_API_TOKEN: TOKEN } }, 'serve');
    expect(serve).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('running for this server already'),
    });
    await alpha.admin.status();
    await alpha.stop();
    await beta.admin.status();
  });

  it('makes files that only their owner reads even under umask 0, and refuses those that others can', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    const shell = spawn(
      'sh',
      [
        '-c',
        'umask 0; exec "$@"',
        'sh',
        process.execPath,
        PROGRAM,
        'start',
        'alpha',
        '--port',
        String(await freePort()),
      ],
      {
        env: cliEnvironment({ ...server.env, MAIL_PROXY_HOME: join(server.home, 'new') }),
        stdio: 'ignore',
      },
    );
    onTestFinished(async () => {
      for (const pid of processesNaming(server.home)) {
        process.kill(pid, 'SIGKILL');
        await ended(pid);
      }
    });
    expect(await once(shell, 'close')).toEqual([0, null]);
    const directory = join(server.home, 'new', 'alpha');
    expect(readdirSync(directory)).toEqual(
      expect.arrayContaining([
        'daemon.json',
        'daemon.log',
        'encryption.key',
        'mail_service.db',
        'mail_service.db.lock',
      ]),
    );
    expect(openToOthers(join(server.home, 'new'))).toEqual([]);

    const call = (...args: string[]) =>
      runCli(['alpha', ...args], { ...server.env, MAIL_PROXY_HOME: join(server.home, 'new') });
    expect((await call('stop')).code).toBe(0);
    for (const name of ['mail_service.db', 'encryption.key']) {
      const path = join(directory, name);
      chmodSync(path, 0o640);
      for (const command of [['start'], ['tenants', 'list']]) {
        const refused = await call(...command);
        expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining(`chmod 600 ${path}`) });
      }
      chmodSync(path, 0o600);
    }
    expect((await call('tenants', 'list')).code).toBe(0);
  });
});

describe.concurrent('the environment', () => {
  it('is honoured, and restart takes what it says now, on the same port with the same token', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const server = await TestServer.create(onTestFinished, { port: null });
    const port = await freePort();
    const database = join(server.home, 'moved', 'queue.db');
    Object.assign(server.env, {
      GMP_PORT: String(port),
      GMP_HOST: '127.0.0.2',
      GMP_DB_PATH: database,
      GMP_LOG_LEVEL: 'Debug',
      LOG_FORMAT: 'JSON',
      GMP_SCHEDULER_ACTIVE: 'false',
    });
    await server.start();
    expect(server.url).toBe(`http://127.0.0.2:${port}`);
    expect(existsSync(database)).toBe(true);
    expect(existsSync(server.file('mail_service.db'))).toBe(false);
    expect(openToOthers(join(server.home, 'moved'))).toEqual([]);

    const acme = await server.addTenant();
    await server.addAccount('acme', smtp);
    await acme.addMessages({ messages: [message('m1')] });
    expect(await acme.status()).toMatchObject({ scheduler_active: false, pending_messages: 1 });
    expect(smtp.seen.connections).toBe(0);

    Object.assign(server.env, { GMP_SCHEDULER_ACTIVE: 'true' });
    expect(await server.json('restart')).toMatchObject({ exit: 0, ok: true, url: server.url });
    await smtp.waitFor(1);
    await untilStatus(acme, 'm1', 'sent');
    Object.assign(server.env, { GMP_PORT: 'eighty' });
    expect(await server.json('restart')).toMatchObject({ exit: 2, code: 'usage' });
    Object.assign(server.env, { GMP_PORT: String(port), GMP_API_TOKEN: '' });
    expect(await server.json('restart')).toMatchObject({ exit: 2, code: 'validation_failed' });
    await acme.status();
    delete server.env.GMP_API_TOKEN;
    const lines = server.log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: number });
    expect(lines.some(({ level }) => level === 20)).toBe(true);

    expect((await server.run('stop')).code).toBe(0);
    expect((await server.run('delete', '--force')).code).toBe(0);
    expect(readdirSync(join(server.home, 'moved'))).toEqual([]);
  });

  it('may name the database by a path relative to where start is called', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    const elsewhere = join(server.home, 'elsewhere');
    mkdirSync(elsewhere);
    const child = spawn(process.execPath, [PROGRAM, 'start', server.name], {
      env: cliEnvironment({ ...server.env, GMP_DB_PATH: 'data/queue.db' }),
      cwd: elsewhere,
      stdio: 'ignore',
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    const database = join(elsewhere, 'data', 'queue.db');
    expect(isServerLocked(`${database}.lock`)).toBe(true);
    Object.assign(server.env, { GMP_DB_PATH: database });
    expect(await server.json('status')).toMatchObject({ state: 'running' });
    expect((await server.run('stop')).code).toBe(0);
  });

  it('that is not understood is refused by its name', async ({ onTestFinished, expect }) => {
    const server = await TestServer.create(onTestFinished, { env: { GMP_LOG_LEVEL: 'loud' } });
    expect(await server.json('start')).toMatchObject({
      exit: 2,
      code: 'usage',
      error: expect.stringContaining('GMP_LOG_LEVEL'),
    });
  });
});

describe.concurrent('stop', () => {
  it('lets the message that is being sent finish, but waits for no client that holds a connection and says nothing', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    await server.addAccount('acme', smtp);
    let offered = () => {};
    const isOffered = new Promise<void>((resolve) => {
      offered = resolve;
    });
    let take = () => {};
    smtp.onData = () => {
      offered();
      return new Promise((resolve) => {
        take = () => resolve(undefined);
      });
    };
    await acme.addMessages({ messages: [message('m1')] });
    await isOffered;
    const silent = connect(server.port, '127.0.0.1');
    const slow = connect(server.port, '127.0.0.1');
    onTestFinished(() => void [silent, slow].map((socket) => socket.destroy()));
    for (const socket of [silent, slow]) socket.on('error', () => {});
    await Promise.all([once(silent, 'connect'), once(slow, 'connect')]);
    slow.write('POST /commands/add-messages HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{');

    const stopped = server.run('stop');
    await until(() => server.log.includes('Stopping'), 'the daemon was told to stop');
    expect(isAlive(server.pid)).toBe(true);
    take();
    const taken = Date.now();
    expect(await stopped).toMatchObject({ code: 0 });
    expect(Date.now() - taken).toBeLessThan(8000);
    expect(await server.message('acme', 'm1')).toMatchObject({ status: 'sent' });
    expect(smtp.messages).toHaveLength(1);
  });

  it('with --force ends it although a message is being sent', async ({ onTestFinished, expect }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const server = await TestServer.running(onTestFinished);
    const acme = await server.addTenant();
    await server.addAccount('acme', smtp);
    const offered = new Promise<void>((resolve) => {
      smtp.onData = () => {
        resolve();
        return new Promise(() => {});
      };
    });
    await acme.addMessages({ messages: [message('m1')] });
    await offered;
    expect(await server.json('stop', '--force')).toMatchObject({ exit: 0, was_running: true });
    await ended(server.pid);
    expect(await server.message('acme', 'm1')).toMatchObject({ status: 'sending' });
  });
});

describe.concurrent('restart', () => {
  it('without the key that passwords need refuses before it stops anything', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    Object.assign(server.env, { MAIL_PROXY_ENCRYPTION_KEY: KEY });
    await server.start();
    await server.addTenant();
    const account = { id: 'smtp1', tenant_id: 'acme', host: '127.0.0.1', user: 'u', password: 'swordfish' };
    await server.admin.putAccount(account);
    delete server.env.MAIL_PROXY_ENCRYPTION_KEY;
    expect(await server.json('restart')).toMatchObject({ exit: 4, ok: false, code: 'key_missing' });
    expect(await server.json('status')).toMatchObject({ state: 'running', pid: server.pid });
    await server.admin.status();

    await server.stop();
    expect(await server.json('start')).toMatchObject({ exit: 4, code: 'key_missing' });
    expect(existsSync(server.file('encryption.key'))).toBe(false);
  });
});

describe.concurrent('serve', () => {
  it('makes neither key nor token: it exits 4 and says what to set', async ({ onTestFinished, expect }) => {
    const server = await TestServer.create(onTestFinished);
    const port = ['--port', String(await freePort())];
    const keyless = await server.runWith({ env: { GMP_API_TOKEN: TOKEN } }, 'serve', ...port);
    expect(keyless).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('MAIL_PROXY_ENCRYPTION_KEY'),
    });
    const tokenless = await server.runWith({ env: { MAIL_PROXY_ENCRYPTION_KEY: KEY } }, 'serve', ...port);
    expect(tokenless).toMatchObject({
      code: 4,
      stdout: '',
      stderr: expect.stringContaining('GMP_API_TOKEN'),
    });
    expect(existsSync(server.file('encryption.key'))).toBe(false);
  });

  it('stays in the foreground, logs to stderr and ends with 0 on SIGTERM', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    const port = await freePort();
    const env = { GMP_API_TOKEN: TOKEN, MAIL_PROXY_ENCRYPTION_KEY: KEY };
    const serving = serveInForeground(onTestFinished, server, env, '--port', String(port));
    await serving.logs(`serves http://127.0.0.1:${port}`);
    const status = await fetch(`http://127.0.0.1:${port}/status`, { headers: { 'X-API-Token': TOKEN } });
    expect(await status.json()).toMatchObject({ ok: true, scheduler_active: true });
    expect(await server.json('status')).toMatchObject({ state: 'running', pid: serving.child.pid });
    serving.child.kill('SIGTERM');
    expect(await serving.ends).toBe(0);
    const { log, stdout } = serving.said();
    expect(stdout).toBe('');
    expect(log).not.toContain(TOKEN);
    expect(log).toMatch(/Stopped\n$/);
  });

  it('ends at once on a second SIGTERM; what was being sent is sent again by the next', async ({
    onTestFinished,
    expect,
  }) => {
    const smtp = await startSmtpServer({ tls: 'none' });
    onTestFinished(() => smtp.close());
    const env = { GMP_API_TOKEN: TOKEN, MAIL_PROXY_ENCRYPTION_KEY: KEY };
    const port = await freePort();
    const server = await TestServer.create(onTestFinished, { env, port });
    const serving = serveInForeground(onTestFinished, server, {}, '--port', String(port));
    await serving.logs('serves http');
    server.adopt(serving.child.pid as number, port);
    const acme = await server.addTenant();
    await server.addAccount('acme', smtp);
    const offered = new Promise<void>((resolve) => {
      smtp.onData = () => {
        resolve();
        return new Promise(() => {});
      };
    });
    await acme.addMessages({ messages: [message('m1')] });
    await offered;
    serving.child.kill('SIGTERM');
    await serving.logs('Stopping');
    serving.child.kill('SIGTERM');
    expect(await serving.ends).toBe(1);
    smtp.onData = () => undefined;
    await server.start();
    await smtp.waitFor(1);
    await untilStatus(acme, 'm1', 'sent');
  });
});

describe.concurrent('delete', () => {
  it('refuses a server that runs, asks nobody without --force, and leaves nothing of one that is stopped', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.running(onTestFinished);
    expect(await server.json('delete', '--force')).toMatchObject({
      exit: 1,
      ok: false,
      code: 'daemon_running',
    });
    await server.admin.status();
    await server.stop();
    expect(await server.json('delete')).toMatchObject({ exit: 2, code: 'usage' });
    expect(readFileSync(server.file('encryption.key'))).toHaveLength(32);
    expect(await server.json('delete', '--force')).toMatchObject({ exit: 0, ok: true });
    expect(existsSync(server.directory)).toBe(false);
    expect(await server.json('status')).toMatchObject({ exit: 3, code: 'server_not_found' });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { describe, it } from 'vitest';
import { processIdentity, type RunState } from '../../src/config/run-state.js';
import { takeServerLock } from '../../src/store/server-lock.js';
import { ended, isAlive } from '../support/processes.js';
import { runCli } from '../support/run-cli.js';
import { TestServer } from '../support/test-server.js';

const stateOf = (server: TestServer) =>
  JSON.parse(readFileSync(server.file('daemon.json'), 'utf8')) as RunState;

describe.concurrent('run state', () => {
  it('of a daemon that was killed is told as stale, and stands in the way of nothing', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.running(onTestFinished);
    const { url, pid } = server;
    expect(await server.json('status')).toMatchObject({
      state: 'running',
      pid,
      url,
      port: server.port,
      host: '127.0.0.1',
    });
    await server.kill();
    expect(await server.json('status')).toMatchObject({
      exit: 0,
      state: 'stale',
      pid: null,
      url: null,
      uptime_seconds: null,
    });
    await server.start();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    expect(await server.json('status')).toMatchObject({ state: 'running', pid: server.pid });
    await server.kill();
    expect(await server.json('stop')).toMatchObject({ exit: 0, ok: true, was_running: false });
    expect(await server.json('status')).toMatchObject({ state: 'stopped', pid: null });
    expect(existsSync(server.file('daemon.json'))).toBe(false);
  });

  it('says where the database is, so that a call without GMP_DB_PATH neither misjudges nor loses the daemon', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    server.env.GMP_DB_PATH = server.file('elsewhere.db');
    await server.start();
    delete server.env.GMP_DB_PATH;
    expect(await server.json('status')).toMatchObject({ state: 'running', pid: server.pid });
    expect(await server.json('start')).toMatchObject({ exit: 1, code: 'daemon_running' });
    expect(await server.json('stop')).toMatchObject({ exit: 0, was_running: true });
    expect(await server.json('status')).toMatchObject({ state: 'stopped' });
  });

  it('a server that could not be started for the first time is not left behind', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    server.env.GMP_PORT = 'many';
    expect(await server.json('start')).toMatchObject({ exit: 2, code: 'usage' });
    expect(existsSync(server.directory)).toBe(false);
  });

  it('that names the pid of another process gets nobody killed: the pid was given out again', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.running(onTestFinished);
    const state = stateOf(server);
    await server.stop();
    const innocent = spawn('sleep', ['60']);
    onTestFinished(() => void innocent.kill('SIGKILL'));
    await once(innocent, 'spawn');
    const pid = innocent.pid as number;
    const lock = takeServerLock(server.file('mail_service.db.lock'));
    onTestFinished(() => lock.release());
    const sleeps = processIdentity(pid).split('@')[0];
    for (const processIdentity of [state.processIdentity, '', `${sleeps}@pid:[1]`]) {
      writeFileSync(server.file('daemon.json'), JSON.stringify({ ...state, pid, processIdentity }));
      for (const flags of [[], ['--force']]) {
        expect(await server.json('stop', ...flags)).toMatchObject({ exit: 1, code: 'daemon_running' });
      }
    }
    expect(isAlive(pid)).toBe(true);
    expect(existsSync(server.file('daemon.json'))).toBe(true);
    lock.release();
    expect(await server.json('stop')).toMatchObject({ exit: 0, was_running: false });
    expect(isAlive(pid)).toBe(true);
  });

  it('that is damaged hides neither that the daemon runs nor that it does not', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.running(onTestFinished);
    const state = stateOf(server);
    writeFileSync(server.file('daemon.json'), '{"pid":');
    expect((await server.json('status')).state).toBe('running');
    expect(await server.json('start')).toMatchObject({ exit: 1, code: 'daemon_running' });
    expect(await server.json('stop')).toMatchObject({ exit: 1, code: 'daemon_running' });
    process.kill(state.pid, 'SIGTERM');
    await ended(state.pid);
    expect((await server.json('status')).state).toBe('stopped');
  });

  it('that cannot be written ends the start before a token is made: the next one shows it', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    mkdirSync(server.file('daemon.json'), { recursive: true, mode: 0o700 });
    expect(await server.json('start')).toMatchObject({ ok: false });
    rmdirSync(server.file('daemon.json'));
    await server.start();
    await server.admin.status();
  });

  it('and a lock that cannot be read do not keep the other servers out of the list', async ({
    onTestFinished,
    expect,
  }) => {
    const server = await TestServer.create(onTestFinished);
    mkdirSync(server.file('mail_service.db.lock'), { recursive: true, mode: 0o700 });
    const { code, stdout, stderr } = await runCli(['list', '--json'], server.env);
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('not known whether') });
    expect(JSON.parse(stdout)).toMatchObject({ servers: [{ server: server.name, state: 'stopped' }] });
  });
});

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { COMMANDS } from '../../src/cli/vocabulary.js';
import { cliEnvironment, PROGRAM, runCli } from '../support/run-cli.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const root = mkdtempSync(join(tmpdir(), 'cli-'));
let home: string;
const cli = (line: string, env: Record<string, string> = {}) =>
  runCli(line.split(' ').filter(Boolean), { MAIL_PROXY_HOME: home, ...env });

beforeEach(() => {
  home = join(mkdtempSync(join(root, 'test-')), 'home');
  mkdirSync(join(home, 'myserver'), { recursive: true });
});

afterAll(() => rmSync(root, { recursive: true }));

describe.concurrent('version', () => {
  it.each(['--version', 'version', 'myserver --version'])('%s prints it', async (line) => {
    expect(await cli(line)).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it('has a JSON form', async () => {
    expect(JSON.parse((await cli('version --json')).stdout)).toMatchObject({ version });
  });
});

describe.concurrent('help', () => {
  it.each(['', '--help', '-h', 'help'])(
    '`mail-proxy %s` shows the grammar and commands by scope',
    async (line) => {
      const { code, stdout, stderr } = await cli(line);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toContain('$ mail-proxy [<server> [<tenant>]] <command>');
      expect(stdout).toMatch(/GLOBAL COMMANDS(.|\n)*\n {2}keygen +Make/);
    },
  );

  it.each([
    ['myserver', '$ mail-proxy myserver [<tenant>] <command>'],
    ['myserver acme --help', '$ mail-proxy myserver acme <command>'],
    ['help keygen', '$ mail-proxy keygen [flags]'],
    ['keygen --help', '$ mail-proxy keygen [flags]'],
    ['myserver acme use --help', '$ mail-proxy use'],
  ])('`mail-proxy %s` shows %s', async (line, usage) => {
    const { code, stdout } = await cli(line);
    expect(code).toBe(0);
    expect(stdout).toContain(usage);
  });

  it('inside a server leaves out what is not about one', async () => {
    expect((await cli('myserver --help')).stdout).not.toContain('keygen');
  });
});

describe.concurrent('exit codes', () => {
  it.each([
    ['acounts list', 127, 'Did you mean `accounts`?'],
    ['myserver acme acounts list', 127, 'Did you mean `accounts`?'],
    ['nosuch', 127, 'mail-proxy help'],
    ['help nosuchcommand', 127, 'nosuchcommand'],
    ['kyegen', 127, 'Did you mean `keygen`?'],
    ['keygen --nosuch', 2, 'mail-proxy keygen --help'],
    ['keygen --ot file', 2, 'did you mean --out?'],
    ['keygen hunter2', 2, 'more arguments'],
    ['current hunter2', 2, 'more arguments'],
    ['keygen --out', 2, '--out'],
    ['keygen --raw', 2, '--out'],
    ['myserver keygen', 2, 'leave the server out'],
    ['use', 2, 'mail-proxy use <server>'],
    ['use Not-A-Name', 2, 'server name'],
    ['use list', 2, 'is a command'],
    ['use nosuch', 3, 'mail-proxy start nosuch'],
    ['use mysrever', 3, 'Did you mean `myserver`?'],
    ['myserver use other', 2, 'named twice'],
  ])('`mail-proxy %s` ends with %i and one sentence', async (line, code, words) => {
    const result = await cli(line);
    expect(result).toMatchObject({ code, stdout: '' });
    expect(result.stderr).toMatch(/^Error: [^\n]+\n$/);
    expect(result.stderr).toContain(words);
    expect(result.stderr).not.toContain('hunter2');
  });
});

describe.concurrent('--json failures', () => {
  it.each([
    ['use nosuch --json', 3, 'server_not_found'],
    ['current --json hunter2', 2, 'usage'],
    ['current --json --passwrd=hunter2', 2, 'usage'],
    ['--json acounts list', 127, 'unknown_command'],
    ['accounts lst --json', 127, 'unknown_command'],
  ])('`mail-proxy %s` prints the envelope on stdout, and no argument values', async (line, exit, code) => {
    const result = await cli(line);
    expect(result.code).toBe(exit);
    expect(JSON.parse(result.stdout)).toEqual({ ok: false, error: expect.any(String), code });
    expect(result.stderr).toMatch(/^Error: /);
    expect(result.stdout + result.stderr).not.toContain('hunter2');
  });
});

describe('unexpected failures', () => {
  const broken = () => writeFileSync(join(home, 'current.json'), '{');

  it('are one sentence without a stack', async () => {
    broken();
    const { code, stderr } = await cli('current');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Error: [^\n]+damaged[^\n]+\n$/);
  });

  it('show the stack when DEBUG asks for it', async () => {
    broken();
    expect((await cli('current', { DEBUG: 'mail-proxy' })).stderr).toMatch(/\n {4}at /);
  });

  it('a reader that went away is none', async () => {
    const child = spawn(process.execPath, [PROGRAM, 'help'], {
      env: cliEnvironment({ MAIL_PROXY_HOME: home }),
    });
    child.stdout.destroy();
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    expect(await once(child, 'close')).toEqual([0, null]);
    expect(stderr).toBe('');
  });
});

describe('keygen', () => {
  it('prints 32 bytes as base64 and nothing else, another key each time', async () => {
    const [first, second] = await Promise.all([cli('keygen'), cli('keygen')]);
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
    expect(second.stdout).not.toBe(first.stdout);
  });

  it('writes raw bytes for a secrets file, for its owner only, and never overwrites', async () => {
    const file = join(home, 'encryption_key');
    const written = await cli(`keygen --raw --out ${file}`);
    expect(written).toMatchObject({ code: 0, stdout: '' });
    expect(statSync(file)).toMatchObject({ size: 32 });
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const key = readFileSync(file);
    expect(await cli(`keygen --raw --out ${file}`)).toMatchObject({ code: 1, stdout: '' });
    expect(readFileSync(file)).toEqual(key);
  });

  it('writes the base64 line without --raw', async () => {
    const file = join(home, 'key.txt');
    await cli(`keygen --out ${file}`);
    expect(readFileSync(file, 'utf8')).toMatch(/^[A-Za-z0-9+/]{43}=\n$/);
  });
});

describe('use and current', () => {
  const shown = async (env: Record<string, string> = {}) =>
    JSON.parse((await cli('current --json', env)).stdout);

  it.each(['use myserver acme', 'myserver acme use', 'use -s myserver -t acme'])(
    '`%s` is remembered',
    async (line) => {
      expect((await cli(line)).code).toBe(0);
      expect(await shown()).toEqual({ server: 'myserver', tenant: 'acme' });
      expect(statSync(join(home, 'current.json')).mode & 0o777).toBe(0o600);
    },
  );

  it('the environment is stronger, and a tenant belongs to the server it was remembered with', async () => {
    await cli('use myserver acme');
    expect(await shown({ MAIL_PROXY_SERVER: 'other' })).toEqual({ server: 'other', tenant: null });
    expect(await shown({ MAIL_PROXY_TENANT: 'beta' })).toEqual({ server: 'myserver', tenant: 'beta' });
  });

  it('a new server replaces both, and --clear forgets', async () => {
    await cli('use myserver acme');
    await cli('use myserver');
    expect(await shown()).toEqual({ server: 'myserver', tenant: null });
    await cli('use --clear');
    expect(await shown()).toEqual({ server: null, tenant: null });
  });

  it('says on stderr that nothing is remembered', async () => {
    expect(await cli('current')).toMatchObject({
      code: 0,
      stdout: '',
      stderr: expect.stringContaining('mail-proxy use'),
    });
  });
});

describe('completion', () => {
  it('answers with one candidate a line', async () => {
    const { code, stdout } = await runCli(['__complete', '--', 'my'], { MAIL_PROXY_HOME: home });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'myserver\n' });
    const words = await runCli(['__complete', '--', 'keygen', '--r'], { MAIL_PROXY_HOME: home });
    expect(words.stdout).toBe('--raw\n');
  });

  it('offers nothing rather than failing when there is no home', async () => {
    const result = await runCli(['__complete', '--', 'zzz'], { MAIL_PROXY_HOME: join(home, 'none') });
    expect(result).toEqual({ code: 0, stdout: '', stderr: '' });
  });
});

it('every command that is built is reserved as a server name', () => {
  const manifest = JSON.parse(readFileSync(new URL('../../oclif.manifest.json', import.meta.url), 'utf8'));
  const built = Object.keys(manifest.commands).map((id) => id.replaceAll(':', ' '));
  expect(built.filter((command) => !COMMANDS.has(command))).toEqual([]);
});

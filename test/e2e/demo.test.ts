import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { processesNaming, until } from '../support/processes.js';
import { cliEnvironment, PROGRAM } from '../support/run-cli.js';
import type { AfterTest } from '../support/test-server.js';

/** A demo that runs in a temporary directory of its own, so that what it leaves behind can be seen. */
function startDemo(afterTest: AfterTest, env: Record<string, string> = {}) {
  const place = mkdtempSync(join(tmpdir(), 'mail-proxy-e2e-demo-'));
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, [PROGRAM, 'demo'], {
    env: cliEnvironment({ TMPDIR: place, ...env }),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const closed = once(child, 'close');
  afterTest(() => {
    child.kill('SIGKILL');
    for (const pid of processesNaming(place)) process.kill(pid, 'SIGKILL');
    rmSync(place, { recursive: true, force: true });
  });
  return {
    child,
    place,
    async ends() {
      const [code, signal] = (await closed) as [number | null, NodeJS.Signals | null];
      return { code, signal, stdout, stderr };
    },
    /** Resolves once the demo has printed `words`. */
    async says(words: string) {
      while (!stdout.includes(words)) {
        await Promise.race([once(child.stdout, 'data'), closed]);
        if (child.exitCode !== null && !stdout.includes(words)) throw new Error(`It ended early: ${stderr}`);
      }
    },
    /** Resolves once neither a process nor a file of the demo is left. */
    async nothingIsLeft() {
      await until(() => processesNaming(place).length === 0, 'every process of the demo is gone');
      expect(readdirSync(place)).toEqual([]);
    },
  };
}

describe.concurrent('demo', () => {
  it('takes a message through the system step by step and leaves nothing behind', async ({
    onTestFinished,
    expect,
  }) => {
    // It is about itself alone: nothing that the operator has set may change it.
    const demo = startDemo(onTestFinished, {
      GMP_PORT: 'no port',
      GMP_DB_PATH: '/nonexistent/mail_service.db',
      GMP_SCHEDULER_ACTIVE: 'false',
      MAIL_PROXY_ENCRYPTION_KEY: 'malformed',
    });
    const { code, stdout, stderr } = await demo.ends();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout.match(/^\d\. .*$/gm)).toEqual([
      expect.stringMatching(/^1\. Starting an SMTP server that takes mail only over STARTTLS and after AUTH/),
      expect.stringMatching(/^2\. Starting the mail-proxy daemon/),
      expect.stringMatching(/^3\. Adding the tenant "acme" and its SMTP account/),
      expect.stringMatching(/^4\. Posting a message over HTTP/),
      expect.stringMatching(/^5\. The message as the SMTP server received it/),
      expect.stringMatching(/^6\. .*[Ss]topping the servers and removing/),
    ]);
    expect(stdout).toMatch(/stored token +[0-9a-f]{64} \(SHA-256\)/);
    expect(stdout).toMatch(/stored password +ENC:[A-Za-z0-9+/]{40,}={0,2} \(AES-256-GCM\)/);
    expect(stdout).toMatch(/state +sent: 250 /);
    expect(stdout).toMatch(/protected by +TLSv1\.[23], /);
    expect(stdout).toMatch(/Subject: =\?UTF-8\?Q\?Hello_from_mail-proxy/);
    await demo.nothingIsLeft();
  });

  it.for([
    ['starts its SMTP server', '1. Starting'],
    ['starts its daemon', '2. Starting'],
    ['posts the message', '4. Posting'],
  ] as const)(
    'stopped with Ctrl-C while it %s it cleans up and fails',
    async ([, words], { onTestFinished, expect }) => {
      const demo = startDemo(onTestFinished);
      await demo.says(words);
      demo.child.kill('SIGINT');
      const { code, stderr } = await demo.ends();
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'Error: The demo was stopped; everything it made is removed.\n',
      });
      await demo.nothingIsLeft();
    },
  );

  it('cleans up however often Ctrl-C comes: npm passes it on a second time', async ({
    onTestFinished,
    expect,
  }) => {
    const demo = startDemo(onTestFinished);
    await demo.says('2. Starting');
    // Signals that wait to be handled become one: only some time apart are they certainly two.
    const again = setInterval(() => demo.child.kill('SIGINT'), 20);
    onTestFinished(() => clearInterval(again));
    expect(await demo.ends()).toMatchObject({ signal: null, code: 1 });
    await demo.nothingIsLeft();
  });
});

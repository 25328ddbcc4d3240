import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openE2eHome } from '../support/e2e-home.js';
import { freePort, processTexts, until } from '../support/processes.js';
import { cliEnvironment, PROGRAM } from '../support/run-cli.js';
import { type SmtpTestServer, startSmtpServer } from '../support/smtp-servers.js';

// The commands of the security document as a user types them into a shell. What differs is the port, which is free here
// and not 8000, and the tokens, where the document uses one placeholder for another.
const e2e = openE2eHome();
let smtp: SmtpTestServer;
let port = 0;
let started: Awaited<ReturnType<typeof shell>>;
afterAll(() => e2e.close());
afterAll(() => smtp?.close());
beforeAll(async () => {
  smtp = await startSmtpServer({ tls: 'starttls', auth: { user: 'user@gmail.com', password: 'swordfish' } });
  port = await freePort();
  started = await shell('mail-proxy start myserver --api-token your-secret-admin-token', {
    GMP_PORT: String(port),
  });
});

/** Runs lines of shell in which `mail-proxy` is the built program. */
async function shell(script: string, env: Record<string, string> = {}) {
  const lines = `mail-proxy() { "${process.execPath}" "${PROGRAM}" "$@"; }\n${script}`;
  const options = { env: cliEnvironment({ MAIL_PROXY_HOME: e2e.home, PORT: String(port), ...env }) };
  return promisify(execFile)('bash', ['-c', lines], options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      stdout: error.stdout,
      stderr: error.stderr,
    }),
  );
}

const curl = async (script: string) => JSON.parse((await shell(script)).stdout) as Record<string, unknown>;
const log = (): string => readFileSync(join(e2e.home, 'myserver', 'daemon.log'), 'utf8');
/** Each call comes from a client of its own: who fails too often from one address has to wait. */
let client = 0;
const ask = async (path: string, token?: string): Promise<number> => {
  const headers = new Headers(token === undefined ? [] : [['X-API-Token', token]]);
  headers.set('X-Real-IP', `127.0.1.${++client}`);
  return (await fetch(`http://127.0.0.1:${port}${path}`, { headers })).status;
};
function inDatabase<Row>(sql: string): Row[] {
  const db = new Database(join(e2e.home, 'myserver', 'mail_service.db'), { readonly: true });
  try {
    return db.prepare<[], Row>(sql).all();
  } finally {
    db.close();
  }
}

describe('Admin Token Configuration', () => {
  it('--api-token starts the server with that token and warns that others can read it', async () => {
    expect(started.code).toBe(0);
    expect(started.stderr).toMatch(/^Warning: .*GMP_API_TOKEN/m);
    expect(`${started.stdout}${started.stderr}`).not.toContain('your-secret-admin-token');
    expect(await ask('/tenants', 'your-secret-admin-token')).toBe(200);
  });

  it('the daemon has the token neither on its command line nor in its environment', async () => {
    const { pid } = await e2e.json<{ pid: number }>('status myserver');
    const { command, environment } = processTexts(pid);
    expect(command).toContain('serve');
    expect(`${command}${environment}`).not.toContain('your-secret-admin-token');
  });
});

describe('Tenant Token Configuration and Tenant Isolation', () => {
  it('POST /tenant creates a tenant with a dedicated token', async () => {
    const answer = await curl(`curl -s -X POST http://localhost:$PORT/tenant \\
      -H "X-API-Token: your-secret-admin-token" \\
      -H "Content-Type: application/json" \\
      -d '{
        "tenant_id": "acme",
        "name": "ACME Corp",
        "token": "acme-secret-token"
      }'`);
    expect(answer).toMatchObject({ ok: true, tenant_id: 'acme' });
    expect(answer).not.toHaveProperty('api_key');
  });

  it('accounts add with --tls starttls takes the password from the environment', async () => {
    const { code, stdout, stderr } = await shell(
      `mail-proxy myserver acme accounts add \\
        --host smtp.gmail.com \\
        --port 587 \\
        --tls starttls \\
        --user user@gmail.com`,
      { MAIL_PROXY_SMTP_PASSWORD: 'swordfish' },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe('Added account smtp1 (smtp.gmail.com:587, starttls) to tenant acme.\n');
  });

  it('a tenant token sees its own messages only; the admin token may name the tenant', async () => {
    await shell(`curl -s http://localhost:$PORT/tenant -H "X-API-Token: your-secret-admin-token" \\
      -H "Content-Type: application/json" -d '{"tenant_id": "globex", "token": "globex-secret-token"}'`);
    for (const tenant of ['acme', 'globex'])
      await e2e.json(`myserver ${tenant} accounts add --id closed --host 127.0.0.1 --port 1`);
    const eml = 'From: a@example.com\nTo: b@example.net\n\nx\n';
    // They wait for a server that cannot be reached.
    await e2e.json('myserver acme send - --id ours --account closed', { input: eml });
    await e2e.json('myserver globex send - --id theirs --account closed', { input: eml });
    const own = await curl('curl -s http://localhost:$PORT/messages -H "X-API-Token: acme-secret-token"');
    const named = await curl(
      'curl -s "http://localhost:$PORT/messages?tenant_id=acme" -H "X-API-Token: your-secret-admin-token"',
    );
    for (const { messages } of [own, named])
      expect(messages).toMatchObject([{ id: 'ours', tenant_id: 'acme' }]);
    expect((own.messages as unknown[]).length).toBe(1);
    const other = await curl(
      'curl -s "http://localhost:$PORT/messages?tenant_id=globex" -H "X-API-Token: acme-secret-token"',
    );
    expect(other).toMatchObject({ ok: false, code: 'tenant_mismatch' });
  });

  it('all endpoints but /health need a token', async () => {
    expect(await ask('/health')).toBe(200);
    const document = await curl(
      'curl -s http://localhost:$PORT/openapi.json -H "X-API-Token: acme-secret-token"',
    );
    const paths = Object.keys(document.paths as object).filter((path) => path !== '/health');
    expect(paths.length).toBeGreaterThan(5);
    for (const path of paths)
      expect([path, await ask(path)]).toEqual([
        path,
        expect.toSatisfy((status) => status === 401 || status === 405),
      ]);
  });
});

describe('Token Storage and Credential Encryption', () => {
  it('tokens are stored as SHA-256 and never as they are', () => {
    const hash = (token: string) => createHash('sha256').update(token).digest('hex');
    expect(inDatabase("SELECT value FROM settings WHERE name = 'admin_token_hash'")).toEqual([
      { value: hash('your-secret-admin-token') },
    ]);
    expect(inDatabase("SELECT hash FROM tokens WHERE tenant_id = 'acme'")).toEqual([
      { hash: hash('acme-secret-token') },
    ]);
  });

  it('a password is stored as ENC: and base64 of nonce, ciphertext and tag', () => {
    const [row] = inDatabase<{ password: string }>(
      "SELECT password FROM accounts WHERE tenant_id = 'acme' AND id = 'smtp1'",
    );
    expect(row?.password).toMatch(/^ENC:[A-Za-z0-9+/]+=*$/);
    expect(Buffer.from(row?.password.slice(4) ?? '', 'base64')).toHaveLength(12 + 'swordfish'.length + 16);
    expect(row?.password).not.toContain('swordfish');
  });

  it('is decrypted on the fly to log in to the server', async () => {
    const ca = e2e.file('ca.pem', smtp.caPem);
    const { code } = await shell(
      `mail-proxy myserver acme accounts add --id real --host 127.0.0.1 --port ${smtp.port} --tls starttls --tls-ca ${ca} --user user@gmail.com`,
      { MAIL_PROXY_SMTP_PASSWORD: 'swordfish' },
    );
    expect(code).toBe(0);
    await e2e.json('myserver acme send - --account real', {
      input: 'From: a@example.com\nTo: b@example.net\n\nx\n',
    });
    expect(await smtp.waitFor(1)).toMatchObject([{ user: 'user@gmail.com', secure: true }]);
  });
});

describe('Audit Logging', () => {
  it('the log has authentication in the form that is shown', async () => {
    expect(await ask('/messages', 'nobodys-token')).toBe(401);
    expect(log()).toMatch(
      / INFO {2}- API auth successful for tenant 'acme' token=acme\/default address=\S+$/m,
    );
    const failed = / WARN {2}- API auth failed: invalid token address=127\.0\.1\.\d+$/m;
    await until(() => failed.test(log()), 'the failure is in the log');
  });

  it('export GMP_LOG_LEVEL=INFO is understood', async () => {
    const { code, stderr } = await shell(
      'export GMP_LOG_LEVEL=INFO; export GMP_API_TOKEN=another-secret-admin-token; mail-proxy restart myserver',
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  it('export GMP_API_TOKEN sets the admin token, and the one before it ends', async () => {
    expect(await ask('/tenants', 'another-secret-admin-token')).toBe(200);
    expect(await ask('/tenants', 'your-secret-admin-token')).toBe(401);
  });
});

describe.concurrent('Configuring the Encryption Key', () => {
  /** Starts a server of its own with a key from a shell script, adds an account with a password and stops it. */
  async function startWithKey(name: string, script: string) {
    const own = await freePort();
    const result = await shell(
      `${script}
       mail-proxy start ${name} --port ${own} || exit $?
       curl -s http://localhost:${own}/tenant -H "X-API-Token: $GMP_API_TOKEN" \\
         -H "Content-Type: application/json" -d '{"tenant_id": "acme"}' > /dev/null
       mail-proxy ${name} acme accounts add --host mail.example --user u --json || exit $?
       mail-proxy stop ${name}`,
      { MAIL_PROXY_SMTP_PASSWORD: 'swordfish', GMP_API_TOKEN: 'a-secret-admin-token' },
    );
    const files = await shell(`ls "$MAIL_PROXY_HOME/${name}"`);
    return { ...result, files: files.stdout };
  }

  it.each([
    ['mail-proxy keygen', 'export MAIL_PROXY_ENCRYPTION_KEY="$(mail-proxy keygen)"'],
    ['openssl rand -base64 32', 'export MAIL_PROXY_ENCRYPTION_KEY="$(openssl rand -base64 32)"'],
  ])('takes the output of %s in the environment', async (_what, script) => {
    const { code, stdout, stderr, files } = await startWithKey(
      _what.startsWith('openssl') ? 'byopenssl' : 'bykeygen',
      script,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('"has_password": true');
    expect(files).not.toContain('encryption.key');
  });

  it('takes a secrets file of 32 raw bytes, never trimmed, whatever its mode', async () => {
    const raw = randomBytes(32);
    raw[0] = 0x20;
    raw[31] = 0x0a;
    const file = e2e.file('encryption_key', raw);
    chmodSync(file, 0o444);
    const { code, stderr, files } = await startWithKey(
      'byfile',
      `export MAIL_PROXY_ENCRYPTION_KEY_FILE="${file}"`,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(files).not.toContain('encryption.key');
  });

  it('refuses a secrets file that holds base64, by its name', async () => {
    const file = e2e.file('base64_key', randomBytes(32).toString('base64'));
    const { code, stderr } = await startWithKey(
      'bybase64',
      `export MAIL_PROXY_ENCRYPTION_KEY_FILE="${file}"`,
    );
    expect(code).toBe(4);
    expect(stderr).toContain(file);
  });

  it('takes the key that the document prints, but warns that everybody knows it', async () => {
    const script = 'export MAIL_PROXY_ENCRYPTION_KEY=K7gNU3sdo+OL0wNhqoVWhr3g6s1xYv72ol/pe/Unols=';
    const { code, stderr } = await startWithKey('byexample', script);
    expect(code).toBe(0);
    expect(stderr).toMatch(/^Warning: .*MAIL_PROXY_ENCRYPTION_KEY is printed in the documentation/m);
  });
});

it('a lost key cannot be recovered: the server does not start with another one', async () => {
  const { code, stderr } = await shell(
    'MAIL_PROXY_ENCRYPTION_KEY="$(mail-proxy keygen)" mail-proxy start bykeygen',
  );
  expect(code).toBe(4);
  expect(stderr).toMatch(/^Error: .*Nothing was changed\. .*--hold-unreadable.*\n$/);
});

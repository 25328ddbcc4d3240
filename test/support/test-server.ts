import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AccountRequest,
  type Client,
  createClient,
  type MessageRequest,
  type MessageWire,
} from '../../src/client/index.js';
import { ended, freePort, processesNaming, until } from './processes.js';
import { type CliResult, runCli } from './run-cli.js';
import type { SmtpTestServer } from './smtp-servers.js';

/** Takes what has to be done after the test, last given first done: a test's `onTestFinished`. */
export type AfterTest = (close: () => void | Promise<void>) => void;

/** What `start --json` prints. */
interface Started {
  url: string;
  pid: number;
  admin_token?: string;
  key_file?: string;
}

/** How a server under test is made. */
export interface TestServerOptions {
  /** Environment of every call beside `MAIL_PROXY_HOME`. */
  env?: Record<string, string>;
  /** Port of every start; a free one when left out, none said when null. */
  port?: number | null;
  name?: string;
  /** Another server, to be beside it in the same home. */
  beside?: TestServer;
}

/**
 * A server in a directory of its own, driven through the built program. Everything that it started is ended and removed
 * after the test, whatever the test did.
 */
export class TestServer {
  readonly name: string;
  readonly home: string;
  readonly directory: string;
  readonly env: Record<string, string>;
  readonly #port: number | null;
  #started: Started | undefined;
  #adminToken = '';

  private constructor(home: string, name: string, env: Record<string, string>, port: number | null) {
    this.home = home;
    this.name = name;
    this.directory = join(home, this.name);
    this.env = { MAIL_PROXY_HOME: home, ...env };
    this.#port = port;
  }

  /** Makes the directory; no daemon runs yet. */
  static async create(afterTest: AfterTest, options: TestServerOptions = {}): Promise<TestServer> {
    const { env = {}, port = await freePort(), name = 'alpha', beside } = options;
    const home = beside?.home ?? mkdtempSync(join(tmpdir(), 'mail-proxy-e2e-'));
    const server = new TestServer(home, name, env, port);
    afterTest(() => server.#dispose());
    return server;
  }

  /** As {@link create}, with its daemon running. */
  static async running(afterTest: AfterTest, options: TestServerOptions = {}): Promise<TestServer> {
    const server = await TestServer.create(afterTest, options);
    await server.start();
    return server;
  }

  get url(): string {
    return this.#last.url;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get pid(): number {
    return this.#last.pid;
  }

  /** The generated admin token, or the one of the environment. */
  get adminToken(): string {
    return this.env.GMP_API_TOKEN ?? this.#adminToken;
  }

  get admin(): Client {
    return createClient({ url: this.url, token: this.adminToken });
  }

  /** Path of a file in the server's directory. */
  file(name: string): string {
    return join(this.directory, name);
  }

  get log(): string {
    return readFileSync(this.file('daemon.log'), 'utf8');
  }

  /** Runs one call of the program with this server first: `run('status')`. */
  run(...args: string[]): Promise<CliResult> {
    return this.runWith({}, ...args);
  }

  /** As {@link run}, with more environment or something on stdin. */
  runWith(
    { env = {}, input = '' }: { env?: Record<string, string>; input?: string },
    ...args: string[]
  ): Promise<CliResult> {
    return runCli([this.name, ...args], { ...this.env, ...env }, input);
  }

  /** What a call prints with `--json`; its failure is what it answers, not an exception. */
  async json(...args: string[]): Promise<Record<string, unknown> & { exit: number | null }> {
    const { code, stdout, stderr } = await this.run(...args, '--json');
    if (stdout === '') throw new Error(`"${args.join(' ')}" printed nothing: ${stderr}`);
    return { ...(JSON.parse(stdout) as Record<string, unknown>), exit: code };
  }

  /** Starts the daemon. @throws Error with what the program said when it does not start. */
  async start(...flags: string[]): Promise<Started> {
    const port = this.#port === null || flags.includes('--port') ? [] : ['--port', String(this.#port)];
    const { code, stdout, stderr } = await this.run('start', ...port, ...flags, '--json');
    if (code !== 0) throw new Error(`start ended with ${code}: ${stderr}`);
    this.#started = JSON.parse(stdout) as Started;
    this.#adminToken = this.#started.admin_token ?? this.#adminToken;
    return this.#started;
  }

  /** Takes a daemon that a test started itself for the one of this server. */
  adopt(pid: number, port: number): void {
    this.#started = { pid, url: `http://127.0.0.1:${port}` };
  }

  /** Stops the daemon as systemd would, which is quicker than a call of `stop`, and waits until it is gone. */
  async stop(): Promise<void> {
    process.kill(this.pid, 'SIGTERM');
    await ended(this.pid);
  }

  /** Ends the daemon as a power cut would. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await ended(this.pid);
  }

  /** Adds a tenant and returns a client that acts as it. */
  async addTenant(id = 'acme'): Promise<Client> {
    const { api_key: token } = await this.admin.putTenant({ tenant_id: id });
    if (token === undefined) throw new Error('the tenant was there already');
    return createClient({ url: this.url, token });
  }

  /** Adds the account of a tenant that reaches a test server in its own mode. */
  async addAccount(
    tenantId: string,
    smtp: SmtpTestServer,
    changes: Partial<AccountRequest> = {},
  ): Promise<void> {
    const { host, port, tls, tlsCa, user, password } = smtp.endpoint();
    await this.admin.putAccount({
      id: 'smtp1',
      tenant_id: tenantId,
      host,
      port,
      tls,
      tls_ca: tls === 'none' ? null : tlsCa,
      user,
      ...(password === null ? {} : { password }),
      ...changes,
    });
  }

  /** What the database of the server has of a message, the daemon running or not. */
  async message(tenantId: string, id: string): Promise<MessageWire> {
    return (await this.json('-t', tenantId, 'messages', 'show', id)) as unknown as MessageWire;
  }

  get #last(): Started {
    if (this.#started === undefined) throw new Error('the server was never started');
    return this.#started;
  }

  async #dispose(): Promise<void> {
    // Daemons are no children of this process, but each shows the home that it serves.
    for (const pid of processesNaming(this.home)) {
      process.kill(pid, 'SIGKILL');
      await ended(pid);
    }
    rmSync(this.home, { recursive: true, force: true });
  }
}

/** A small message for `add-messages`. */
export const message = (id: string, changes: Partial<MessageRequest> = {}): MessageRequest => ({
  id,
  from: 'app@example.com',
  to: ['someone@example.net'],
  subject: `About ${id}`,
  body: 'Hello there',
  ...changes,
});

/** Resolves with a message once it has a status. */
export async function untilStatus(
  client: Client,
  id: string,
  status: MessageWire['status'],
  tenantId?: string,
): Promise<MessageWire> {
  let last: MessageWire | undefined;
  await until(async () => {
    last = await client.getMessage(tenantId, id);
    return last.status === status;
  }, `message ${id} is ${status}`).catch((error: unknown) => {
    throw new Error(`${String(error)}; it is ${JSON.stringify(last)}`);
  });
  return last as MessageWire;
}

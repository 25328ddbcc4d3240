import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testCertificates } from './certificates.js';
import { freePort, until } from './processes.js';

/** Where Debian puts it. */
const NGINX = '/usr/sbin/nginx';

/** A real nginx that terminates TLS in front of a daemon. */
export interface Nginx {
  /** Asks through nginx, from an address of the loopback network. */
  ask(
    from: string,
    path: string,
    headers?: Record<string, string>,
  ): Promise<{ status: number; headers: NodeJS.Dict<string | string[]>; text: string }>;
  close(): Promise<void>;
}

/**
 * Starts nginx with the server block of the security document in front of a URL; its files are in a directory of their own.
 *
 * @throws Error when nginx is not installed.
 */
export async function startNginx(upstream: string): Promise<Nginx> {
  try {
    accessSync(NGINX, constants.X_OK);
  } catch {
    throw new Error(`${NGINX} is missing: install it with "apt-get install nginx-light" to run these tests.`);
  }
  const { caPem, valid } = await testCertificates();
  const directory = mkdtempSync(join(tmpdir(), 'nginx-'));
  const port = await freePort();
  mkdirSync(join(directory, 'tmp'));
  writeFileSync(join(directory, 'fullchain.pem'), valid.certPem);
  writeFileSync(join(directory, 'privkey.pem'), valid.keyPem, { mode: 0o600 });
  writeFileSync(join(directory, 'nginx.conf'), configuration(directory, port, upstream));
  // In the foreground and not forking: it is this process's own child, and ends with it.
  const child = spawn(NGINX, ['-p', directory, '-c', join(directory, 'nginx.conf'), '-e', 'stderr'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`nginx ended: ${said}`);
    return await accepts(port);
  }, 'nginx accepts connections');
  return {
    ask: (from, path, headers = {}) => ask({ from, path, headers, port, ca: caPem }),
    async close() {
      await end(child);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function configuration(directory: string, port: number, upstream: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${directory}/tmp/${name};`,
  );
  return `daemon off;
master_process off;
pid ${directory}/nginx.pid;
events { worker_connections 64; }
http {
  access_log off;
  ${temporary.join('\n  ')}
  server {
    listen 127.0.0.1:${port} ssl;
    server_name localhost;

    ssl_certificate ${directory}/fullchain.pem;
    ssl_certificate_key ${directory}/privkey.pem;

    location / {
      proxy_pass ${upstream};
      proxy_set_header Host $host;
      proxy_set_header X-Real-IP $remote_addr;
    }
  }
}
`;
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function ask(options: {
  from: string;
  path: string;
  headers: Record<string, string>;
  port: number;
  ca: string;
}): ReturnType<Nginx['ask']> {
  const { from, path, headers, port, ca } = options;
  const call = request({
    host: '127.0.0.1',
    servername: 'localhost',
    port,
    path,
    headers,
    ca,
    localAddress: from,
    agent: false,
  });
  call.end();
  const [response] = (await once(call, 'response')) as [import('node:http').IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill('SIGTERM');
  await closed;
}

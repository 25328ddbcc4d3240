import { once } from 'node:events';
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@hono/node-server';
import { afterEach, beforeEach, describe, expect, expectTypeOf, test } from 'vitest';
import type { z } from 'zod';
import {
  type AccountRequest,
  createClient,
  type MessageBatchRequest,
  type TenantRequest,
} from '../../src/client/index.js';
import type { accountBodySchema } from '../../src/core/schemas/account.js';
import type { addMessagesDocSchema } from '../../src/core/schemas/message.js';
import type { tenantBodySchema } from '../../src/core/schemas/tenant.js';
import { ACME, ADMIN, message, openTestApp, type TestApp } from '../support/http.js';

let server: TestApp;
let url: string;
let close: () => Promise<void>;

beforeEach(async () => {
  server = await openTestApp({ bodyLimit: 200_000 });
  const listener = serve({
    fetch: server.app.fetch,
    hostname: '127.0.0.1',
    port: 0,
    overrideGlobalObjects: false,
  });
  await once(listener, 'listening');
  url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  close = async () => {
    if ('closeAllConnections' in listener) listener.closeAllConnections();
    listener.close();
    await once(listener, 'close');
  };
});
afterEach(async () => {
  await close();
  await server.close();
});

const client = (token: string) => createClient({ url, token });

test('what the client takes is what the server validates', () => {
  expectTypeOf<AccountRequest>().toExtend<z.input<typeof accountBodySchema>>();
  expectTypeOf<TenantRequest>().toExtend<z.input<typeof tenantBodySchema>>();
  expectTypeOf<MessageBatchRequest>().toExtend<z.input<typeof addMessagesDocSchema>>();
});

test('every method speaks to its route', async () => {
  const admin = client(ADMIN);
  await admin.health();
  const created = await admin.putTenant({ tenant_id: 'initech', name: 'Initech' });
  expect(created).toMatchObject({ created: true, api_key: expect.stringMatching(/^mpt_/) });
  expect(await admin.putTenant({ tenant_id: 'initech' })).toEqual({
    created: false,
    api_key: undefined,
    webhook_secret: undefined,
  });
  const { tenants, next_cursor } = await admin.listTenants({ limit: 2, active_only: true });
  expect({ ids: tenants.map(({ id }) => id), next_cursor }).toEqual({
    ids: ['acme', 'globex'],
    next_cursor: 'globex',
  });

  const own = client(created.api_key ?? '');
  await own.putAccount({ id: 'smtp1', host: '127.0.0.1', port: 1, tls: 'none' });
  expect((await own.listAccounts()).accounts).toHaveLength(1);
  expect(await own.getAccount(undefined, 'smtp1')).toMatchObject({ id: 'smtp1', tenant_id: 'initech' });
  expect(await admin.getAccount('initech', 'smtp1')).not.toHaveProperty('ok');
  expect(await own.testAccount(undefined, 'smtp1')).toMatchObject({
    ok: false,
    steps: [{ name: 'connect', status: 'failed' }, {}, {}],
  });

  const batch = await own.addMessages({ messages: [message('a/b'), { id: 'bad' }] });
  expect(batch).toMatchObject({ queued: 1, rejected: [{ id: 'bad' }] });
  expect((await own.listMessages({ status: 'pending' })).messages).toMatchObject([{ id: 'a/b' }]);
  expect(await own.getMessage(undefined, 'a/b')).toMatchObject({ subject: 'Hello' });
  expect(await own.status()).toMatchObject({ pending_messages: 1, version: '1.2.3' });
  expect(await own.suspend(undefined, 'Q1')).toMatchObject({ suspended_batches: ['Q1'], batch_code: 'Q1' });
  expect(await admin.suspend('initech')).toMatchObject({ tenant_suspended: true });
  expect(await own.activate(undefined, { keepBatches: true })).toMatchObject({ suspended_batches: ['Q1'] });
  expect(await own.activate(undefined, { batchCode: 'Q1' })).toMatchObject({ activated_batches: ['Q1'] });
  expect(await own.retryMessages(undefined, { ids: ['a/b'] })).toMatchObject({
    retried: 0,
    skipped: [{ id: 'a/b', code: 'pending' }],
  });
  expect(await admin.retryMessages('initech', { filter: { status: 'error' } })).toMatchObject({ retried: 0 });
  await expect(own.resolveMessage(undefined, 'a/b', { outcome: 'sent' })).rejects.toMatchObject({
    code: 'not_uncertain',
  });
  expect(await own.deleteMessages(undefined, ['none'])).toEqual({
    removed: 0,
    not_found: ['none'],
    in_progress: [],
  });
  expect(await own.cleanupMessages(undefined, 0)).toBe(0);
  await own.runNow();
  expect(server.calls.at(-1)).toEqual({ runNow: 'initech' });
  await own.deleteAccount(undefined, 'smtp1', { force: true });
  expect(await own.openApi()).toMatchObject({ openapi: '3.1.0' });
});

test('failures carry the server’s code, sentence and issues', async () => {
  await expect(client('wrong').status()).rejects.toMatchObject({
    name: 'MailProxyError',
    code: 'unauthorized',
  });
  await expect(client(ACME).listTenants()).rejects.toMatchObject({ code: 'forbidden' });
  await expect(client(ACME).status('globex')).rejects.toMatchObject({
    code: 'tenant_mismatch',
    message: 'Token not authorized for this tenant',
  });
  await expect(client(ACME).getAccount('acme', 'none1')).rejects.toMatchObject({ code: 'account_not_found' });
  await expect(client(ACME).putAccount({ id: 'x', host: 'not a host' })).rejects.toMatchObject({
    code: 'validation_failed',
    issues: [{ path: 'host' }],
  });
});

test('a token that is not ASCII is sent as UTF-8', async () => {
  await server.addTenant('intl', 'żółw-ключ');
  expect(await client('żółw-ключ').status()).toMatchObject({ pending_messages: 0 });
});

test('the client’s address comes from a trusted proxy alone', async () => {
  const call = (headers: Record<string, string>) =>
    fetch(`${url}/status`, { headers: { 'X-API-Token': ACME, ...headers } });
  await call({});
  await call({ 'X-Real-IP': '203.0.113.9' });
  await call({ 'X-Real-IP': 'swordfish' });
  const addresses = server.log.filter(({ fields }) => 'ms' in fields).map(({ fields }) => fields.address);
  expect(addresses).toEqual(['127.0.0.1', '203.0.113.9', '127.0.0.1']);
});

describe('over a real socket', () => {
  const post = (options: { chunked: boolean; bytes: number }) =>
    new Promise<number>((resolve, reject) => {
      const sent = httpRequest(
        `${url}/commands/add-messages`,
        {
          method: 'POST',
          headers: {
            'X-API-Token': ACME,
            'Content-Type': 'application/json',
            ...(options.chunked
              ? { 'Transfer-Encoding': 'chunked' }
              : { 'Content-Length': String(options.bytes) }),
          },
        },
        (answer) => {
          answer.resume();
          resolve(answer.statusCode ?? 0);
        },
      );
      sent.on('error', reject);
      sent.end(Buffer.alloc(options.bytes, ' '));
    });

  test('a body over the limit is 413, announced or chunked, and the server goes on', async () => {
    expect(await post({ chunked: false, bytes: 200_001 })).toBe(413);
    expect(await post({ chunked: true, bytes: 400_000 })).toBe(413);
    expect(await post({ chunked: true, bytes: 200_000 })).toBe(400);
    await client(ACME).health();
  });

  test('bytes of a token that are no text are 401', async () => {
    const status = await new Promise((resolve) => {
      httpRequest(`${url}/status`, { headers: { 'X-API-Token': '\u00ff\u00fe' } }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      }).end();
    });
    expect(status).toBe(401);
  });
});

test('nothing that answers, or something else than a mail-proxy, is said plainly', async () => {
  const other = createServer((_request, answer) => {
    answer.writeHead(302, { Location: `${url}/health` }).end();
  });
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const elsewhere = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  const failure = createClient({ url: elsewhere, token: 'swordfish' }).status();
  await expect(failure).rejects.toMatchObject({ code: 'daemon_not_running' });
  await expect(failure).rejects.not.toMatchObject({ message: expect.stringContaining('swordfish') });
  other.closeAllConnections();
  other.close();
  await once(other, 'close');
  await expect(createClient({ url: elsewhere, token: 't' }).health()).rejects.toMatchObject({
    code: 'daemon_not_running',
  });
  const html = async () => new Response('<html>', { status: 200 });
  await expect(createClient({ url, token: 't', fetch: html }).status()).rejects.toMatchObject({
    code: 'internal',
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERROR_CODES, MailProxyError } from '../../src/core/errors.js';
import { REJECTION_CODES } from '../../src/core/rejection-codes.js';
import { ROUTES } from '../../src/http/create-app.js';
import { ACME, ADMIN, account, openTestApp, type RequestBody, type TestApp } from '../support/http.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

const JSON_TYPE = { 'Content-Type': 'application/json' };
const post = (body: RequestBody, headers: Record<string, string> = JSON_TYPE) =>
  server.request('POST', '/commands/add-messages', { token: ACME, body, headers });
const codeOf = async (answer: Promise<{ status: number; json: Record<string, unknown> }>) => {
  const { status, json } = await answer;
  expect(json.ok).toBe(false);
  return `${status} ${String(json.code)}`;
};

function chunked(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close();
      controller.enqueue(new Uint8Array(Math.min(left, 65_536)).fill(0x20));
      left -= 65_536;
    },
  });
}

test('unknown routes are 404 and wrong methods 405 with Allow', async () => {
  expect(await codeOf(server.request('GET', '/nowhere', { token: ACME }))).toBe('404 route_not_found');
  const wrong = await server.request('PUT', '/account/smtp1', { token: ACME });
  expect(wrong.status).toBe(405);
  expect(wrong.json).toMatchObject({ ok: false, code: 'method_not_allowed' });
  expect(wrong.headers.get('allow')).toBe('DELETE, GET, HEAD');
  expect(await codeOf(server.request('POST', '/health'))).toBe('405 method_not_allowed');
  expect(await codeOf(server.request('GET', '/nowhere'))).toBe('401 unauthorized');
});

test('a GET never changes anything: each is read-only by its declaration', () => {
  const reading = ROUTES.filter(({ method }) => method === 'get');
  expect(reading.every(({ body }) => body === undefined)).toBe(true);
  expect(reading.map(({ path }) => path).filter((path) => path.startsWith('/commands'))).toEqual([]);
});

test('HEAD answers as GET does, without a body', async () => {
  const head = await server.request('HEAD', '/status', { token: ACME });
  expect({ status: head.status, text: head.text }).toEqual({ status: 200, text: '' });
  expect((await server.request('HEAD', '/status')).status).toBe(401);
});

test('a foreign Origin gets no CORS headers, not even for a preflight', async () => {
  const headers = { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' };
  for (const answer of [
    await server.request('OPTIONS', '/commands/add-messages', { headers }),
    await server.request('OPTIONS', '/commands/add-messages', { headers, token: ACME }),
    await server.request('GET', '/status', { headers, token: ACME }),
  ]) {
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([]);
  }
});

test('every answer forbids guessing of types, storing and framing', async () => {
  for (const path of ['/health', '/status', '/nowhere']) {
    const { headers } = await server.request('GET', path);
    expect(headers.get('x-content-type-options')).toBe('nosniff');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-frame-options')).toBe('DENY');
    expect(headers.get('content-type')).toMatch(/^application\/json/);
  }
});

describe('bodies', () => {
  test.each([
    ['no content type', {}],
    ['text', { 'Content-Type': 'text/plain' }],
    ['a form', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    ['another charset', { 'Content-Type': 'application/json; charset=latin1' }],
    ['compression', { ...JSON_TYPE, 'Content-Encoding': 'gzip' }],
  ])('415 for %s', async (_name, headers) => {
    expect(await codeOf(post(new TextEncoder().encode('{"messages":[]}'), headers))).toBe(
      '415 unsupported_media_type',
    );
  });

  test.each([
    ['nothing', ''],
    ['half a document', '{"messages": [{"id": "swordfish"'],
    ['no JSON', 'swordfish'],
    ['bytes that are not UTF-8', new Uint8Array([0x22, 0xff, 0xfe, 0x22])],
    ['UTF-16', Buffer.from('{"messages":[]}', 'utf16le')],
    ['very deep nesting', '['.repeat(500_000)],
    ['deep nesting behind escaped quotes', `{"a\\"[[\\\\":${'['.repeat(100)}`],
  ])('400 for %s, which is not repeated', async (_name, body) => {
    const answer = post(body);
    expect(await codeOf(answer)).toBe('400 invalid_json');
    expect((await answer).text).not.toContain('swordfish');
  });

  test('413 for a body of very many members, before it is parsed', async () => {
    const members = Array.from({ length: 200_001 }, (_, n) => `"k${n}":1`).join(',');
    expect(await codeOf(post(`{${members}}`))).toBe('413 body_too_large');
  });

  test('brackets inside strings are no nesting', async () => {
    const json = { messages: [`${'['.repeat(1000)}\\"${'{'.repeat(1000)}`] };
    expect((await post(JSON.stringify(json))).status).toBe(200);
  });

  test('413 over 16 MiB, announced or chunked, and not at the limit', async () => {
    const limit = 16 * 1024 * 1024;
    expect(await codeOf(post(new Uint8Array(limit + 1).fill(0x20)))).toBe('413 body_too_large');
    expect(await codeOf(post(chunked(limit + 1)))).toBe('413 body_too_large');
    expect(await codeOf(post(new Uint8Array(8), { ...JSON_TYPE, 'Content-Length': String(limit + 1) }))).toBe(
      '413 body_too_large',
    );
    expect(await codeOf(post(chunked(limit)))).toBe('400 invalid_json');
  });

  test.each([
    ['null'],
    ['[]'],
    ['1'],
    ['"x"'],
    ['{}'],
    ['{"messages":{}}'],
    ['{"messages":[],"__proto__":{"a":1}}'],
  ])('422 for the body %s', async (body) => {
    expect(await codeOf(post(body))).toBe('422 validation_failed');
    expect(await codeOf(server.request('POST', '/account', { token: ACME, body, headers: JSON_TYPE }))).toBe(
      '422 validation_failed',
    );
    expect(await codeOf(server.request('POST', '/tenant', { token: ADMIN, body, headers: JSON_TYPE }))).toBe(
      '422 validation_failed',
    );
  });

  test('a body that fails while it is read is a bad request, not a defect', async () => {
    const broken = new ReadableStream({ pull: (controller) => controller.error(new Error('reset')) });
    expect(await codeOf(post(broken))).toBe('400 invalid_json');
  });
});

test('unknown fields are 422 and named; their values are not repeated', async () => {
  const json = account({ pasword: 'swordfish', port: 'swordfish' });
  const answer = await server.request('POST', '/account', { token: ACME, json });
  expect(answer.status).toBe(422);
  expect((answer.json.issues as Array<{ path: string }>).map(({ path }) => path).sort()).toEqual([
    'pasword',
    'port',
  ]);
  expect(answer.text).not.toContain('swordfish');
});

test.each(['large_file_config', 'is_pec_account', 'imap_host', 'imap_password'])(
  'the field %s is refused as not supported, never dropped',
  async (field) => {
    const onAccount = { token: ACME, json: account({ [field]: null }) };
    expect(await codeOf(server.request('POST', '/account', onAccount))).toBe('422 not_supported');
    const onTenant = { token: ADMIN, json: { tenant_id: 'acme', [field]: false } };
    expect(await codeOf(server.request('POST', '/tenant', onTenant))).toBe('422 not_supported');
  },
);

test.each([
  '/messages?limit=0',
  '/messages?limit=1001',
  '/messages?limit=ten',
  '/messages?limit=1&limit=2',
  '/messages?cursor=abc',
  '/messages?cursor=',
  '/messages?status=lost',
  '/messages?active_only=yes',
  '/messages?account_id=%00',
  '/messages?batch_code=%0a',
  '/messages?activeonly=true',
  '/accounts?colour=red',
  '/account/%ff',
  '/account/a%2Fb',
  '/messages/%01',
])('422 for %s', async (path) => {
  expect(await codeOf(server.request('GET', path, { token: ACME }))).toBe('422 validation_failed');
});

test('health is 503 while the store cannot be read, and does not say why', async () => {
  expect((await server.request('GET', '/health')).json).toEqual({ ok: true });
  await server.store.close();
  const answer = await server.request('GET', '/health');
  expect(answer).toMatchObject({ status: 503, json: { ok: false, code: 'store_unavailable' } });
  expect(answer.text).not.toContain(server.store.path);
});

test('a defect is answered with one sentence and logged, without a trace of it in the answer', async () => {
  const failing = await openTestApp({
    schedulerActive: () => {
      throw new Error('swordfish at /some/path.js:1');
    },
  });
  const answer = await failing.request('GET', '/status', { token: ACME });
  expect(answer).toMatchObject({ status: 500, json: { ok: false, code: 'internal' } });
  expect(answer.text).not.toContain('swordfish');
  expect(failing.log.filter(({ level }) => level === 'error')).toHaveLength(1);
  await failing.close();
});

test("what is the operator's affair is told to the operator; a tenant learns the code alone, and the log the rest", async () => {
  const failing = await openTestApp({
    keyring: () => {
      throw new MailProxyError(
        'key_missing',
        'Key 0123 is not in /run/secrets: set MAIL_PROXY_ENCRYPTION_KEY.',
      );
    },
  });
  const put = (token: string) =>
    failing.request('POST', '/account', { token, json: account({ tenant_id: 'acme' }) });
  const told = await put(ACME);
  expect(told).toMatchObject({ status: 503, json: { ok: false, code: 'key_missing' } });
  expect(told.text).not.toMatch(/0123|secrets|MAIL_PROXY/);
  expect(failing.log.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
    expect.stringContaining('/run/secrets'),
  ]);
  expect((await put(ADMIN)).text).toContain('/run/secrets');
  await failing.close();
});

test('the OpenAPI document lists every route, every code and the token header', async () => {
  expect((await server.request('GET', '/openapi.json')).status).toBe(401);
  const { json } = await server.request('GET', '/openapi.json', { token: ACME });
  expect(JSON.stringify(json)).toMatch(/"priority":\{"anyOf":\[.*?\[0\].*?\[1\].*?\[2\].*?\[3\]/);
  expect(json.openapi).toBe('3.1.0');
  expect(json).toMatchObject({
    components: { securitySchemes: { ApiToken: { type: 'apiKey', in: 'header', name: 'X-API-Token' } } },
  });
  const text = JSON.stringify(json);
  for (const code of [...Object.keys(ERROR_CODES), ...REJECTION_CODES]) expect(text).toContain(`"${code}"`);
  const paths = json.paths as Record<string, Record<string, unknown>>;
  for (const { path, method } of ROUTES) expect(paths[path], path).toHaveProperty(method);
});

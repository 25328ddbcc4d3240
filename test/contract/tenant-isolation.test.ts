import type Database from 'better-sqlite3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ACME,
  ADMIN,
  type Answer,
  account,
  GLOBEX,
  message,
  openTestApp,
  type TestApp,
} from '../support/http.js';
import { openRaw, readAllRows, type StoreRows } from '../support/tenant-rows.js';

type TenantId = 'acme' | 'globex';
const OTHER: Record<TenantId, TenantId> = { acme: 'globex', globex: 'acme' };
const TOKENS: Record<TenantId, string> = { acme: ACME, globex: GLOBEX };
/** In every field of a tenant that may hold text, and in nothing that the other one says. */
const canaryOf = (tenant: TenantId) => `zq${tenant}canary`;

/** Ids that both tenants use, ids that one alone uses, and ids that nobody does, by kind. */
const SHARED = { account: 'smtp1', message: 'm1', token: 'shop' };
const SOLO = { account: 'solo1', message: 'solo1', token: 'solo1' };
const ABSENT = { account: 'none1', message: 'none1', token: 'none1' };
type Ids = Record<keyof typeof SHARED, string>;

/** How a route is called; a tenant is put in wherever the call can name one. */
interface Case {
  /** Whether only the admin may call it. */
  admin?: true;
  /** What each parameter of the path is the id of. */
  params?: Record<string, 'tenant' | keyof Ids>;
  /** Query that names rows. */
  query?: (ids: Ids) => Record<string, string>;
  /** Whether it is about messages of which nobody knows what became. */
  uncertain?: true;
  /** Bodies, each with the tenant in another place; `undefined` names none. */
  bodies?: (tenant: unknown, ids: Ids) => object[];
}

const mail = (tenant: unknown, id: string, ids: Ids) => ({
  ...message(id, { account_id: ids.account }),
  ...(tenant === undefined ? {} : { tenant_id: tenant }),
});
const named = (tenant: unknown, body: object = {}) => ({
  ...body,
  ...(tenant === undefined ? {} : { tenant_id: tenant }),
});

const CASES: Record<string, Case> = {
  'GET /health': {},
  'GET /openapi.json': {},
  'GET /status': {},
  'GET /metrics': { admin: true },
  'POST /tenant': {
    admin: true,
    bodies: (tenant) => [
      { tenant_id: tenant, active: false },
      { id: tenant, name: 'taken' },
    ],
  },
  'GET /tenants': { admin: true },
  'GET /tenants/sync-status': { admin: true },
  'GET /tenant/{id}': { params: { id: 'tenant' } },
  'DELETE /tenant/{id}': { admin: true, params: { id: 'tenant' } },
  'POST /account': {
    bodies: (tenant, ids) => [named(tenant, account({ id: ids.account, host: '127.0.0.1', port: 9 }))],
  },
  'GET /accounts': {},
  'GET /account/{id}': { params: { id: 'account' } },
  'DELETE /account/{id}': { params: { id: 'account' }, query: () => ({ force: 'true' }) },
  'POST /account/{id}/test': { params: { id: 'account' } },
  'POST /commands/add-messages': {
    bodies: (tenant, ids) => [
      { messages: [mail(tenant, ids.message, ids)] },
      { messages: [mail(undefined, 'm2', ids), mail(tenant, ids.message, ids)] },
      named(tenant, { messages: [mail(undefined, ids.message, ids)] }),
    ],
  },
  'GET /messages': { query: (ids) => ({ account_id: ids.account, batch_code: `batch-${ids.account}` }) },
  'GET /messages/{id}': { params: { id: 'message' } },
  'GET /messages/{id}/events': { params: { id: 'message' } },
  'POST /messages/{id}/resolve': {
    params: { id: 'message' },
    uncertain: true,
    bodies: (tenant) => [
      named(tenant, { outcome: 'sent', reason: 'seen' }),
      named(tenant, { outcome: 'retry' }),
      named(tenant, { outcome: 'error' }),
    ],
  },
  'POST /commands/delete-messages': {
    bodies: (tenant, ids) => [named(tenant, { ids: [ids.message, 'm2'] })],
  },
  'POST /commands/retry-messages': {
    bodies: (tenant, ids) => [
      named(tenant, { ids: [ids.message] }),
      named(tenant, { filter: { status: 'deferred', account_id: ids.account } }),
    ],
  },
  'POST /commands/suspend': { query: (ids) => ({ batch_code: `held-${ids.account}` }) },
  'POST /commands/activate': { query: (ids) => ({ batch_code: `held-${ids.account}` }) },
  'POST /commands/run-now': { bodies: (tenant) => [named(tenant)] },
  'POST /commands/cleanup-messages': {
    bodies: (tenant) => [named(tenant), named(tenant, { older_than_seconds: 0 })],
  },
  'POST /tenant/{id}/api-key': { admin: true, params: { id: 'tenant' }, bodies: () => [{}] },
  'DELETE /tenant/{id}/api-key': { admin: true, params: { id: 'tenant' } },
  'GET /tenant/{id}/tokens': { admin: true, params: { id: 'tenant' } },
  'POST /tenant/{id}/tokens': {
    admin: true,
    params: { id: 'tenant' },
    bodies: (_tenant, ids) => [{ name: ids.token }],
  },
  'DELETE /tenant/{id}/tokens/{name}': { admin: true, params: { id: 'tenant', name: 'token' } },
  'POST /commands/rotate-token': { admin: true },
  'GET /keys': { admin: true },
  'POST /keys/verify': { admin: true },
  'POST /keys/reencrypt': { admin: true },
  'GET /command-log': { admin: true, query: () => ({ actor: 'admin' }) },
  'GET /command-log/export': { admin: true },
  'POST /command-log/verify': { admin: true, bodies: () => [{}] },
};

let server: TestApp;
let raw: Database.Database;
beforeAll(async () => {
  server = await openTestApp();
  raw = openRaw(server.path);
  for (const tenant of ['acme', 'globex'] as const) await seed(tenant);
});
afterAll(async () => {
  raw.close();
  await server.close();
});

const api = (method: string, path: string, token: string, json?: unknown) =>
  server.request(method, path, { token, ...(json === undefined ? {} : { json }) });

/** Gives a tenant its rows, also those that an earlier call took away. */
async function seed(tenant: TenantId): Promise<void> {
  const canary = canaryOf(tenant);
  await api('POST', '/tenant', ADMIN, {
    tenant_id: tenant,
    name: canary,
    active: true,
    token: TOKENS[tenant],
    client_base_url: `https://${canary}.example`,
    client_auth: { method: 'basic', user: canary, password: `${canary}-password` },
  });
  const settings = { tenant_id: tenant, host: '127.0.0.1', port: 9, tls: 'none' };
  const rows: Ids[] = [SHARED, ...(tenant === 'globex' ? [SOLO] : [])];
  for (const ids of rows) {
    await api('POST', '/account', ADMIN, {
      ...settings,
      id: ids.account,
      user: canary,
      password: `${canary}-password`,
      from_address: `${canary}@example.com`,
    });
    await api('POST', `/tenant/${tenant}/tokens`, ADMIN, { name: ids.token });
    const mails = [
      message(ids.message, {
        tenant_id: tenant,
        account_id: ids.account,
        subject: canary,
        body: canary,
        to: [`${canary}@example.net`],
        batch_code: `batch-${ids.account}`,
      }),
    ];
    await api('POST', '/commands/add-messages', ADMIN, { messages: mails });
    await api('POST', `/commands/suspend?tenant_id=${tenant}&batch_code=held-${ids.account}`, ADMIN);
  }
}

/** Whether a tenant still has what it was given. */
function hasRows({ byTenant }: StoreRows, tenant: TenantId): boolean {
  const rows = byTenant[tenant] ?? {};
  const has = (table: string, id: string) =>
    rows[table]?.some((row) => Object.values(row ?? {}).includes(id));
  return has('accounts', SHARED.account) === true && has('messages', SHARED.message) === true;
}

const routes = () =>
  server.app.routes
    .map(({ method, path }) => ({ method, path: path.replace(/:(\w+)/g, '{$1}') }))
    .filter(
      ({ method, path }, i, all) =>
        i === all.findIndex((other) => other.method === method && other.path === path),
    );
const handlers = () => routes().filter(({ method }) => method !== 'ALL');

describe('the table of routes', () => {
  test('holds nothing that the OpenAPI document lacks', async () => {
    const document = (await api('GET', '/openapi.json', ADMIN)).json as { paths: Record<string, object> };
    const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    expect(
      handlers()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    ).toEqual(documented.sort());
  });

  test('holds for every method only what stands in front of all, and what refuses other methods of a documented path', () => {
    const paths = new Set(handlers().map(({ path }) => path));
    for (const { path } of routes().filter(({ method }) => method === 'ALL')) {
      expect(path === '/*' || paths.has(path), path).toBe(true);
    }
    const inFrontOfAll = server.app.routes
      .filter(({ path, method }) => path === '/*' && method === 'ALL')
      .map(({ handler }) => handler.name);
    expect(inFrontOfAll.filter((name) => name !== '')).toEqual([
      'setSecurityHeaders',
      'logAccess',
      'requireToken',
    ]);
  });

  test('holds no route without a case here, and no case is of a route that is gone', () => {
    expect(
      handlers()
        .map(({ method, path }) => `${method} ${path}`)
        .sort(),
    ).toEqual(Object.keys(CASES).sort());
  });
});

/** One request that tries to reach the other tenant. */
interface Attempt {
  what: string;
  path: string;
  body?: string | undefined;
  headers?: Record<string, string>;
  /** Whether it says the other tenant's id in so many words, so that it is refused for that. */
  mustMismatch: boolean;
}

const encodeAll = (text: string) => Buffer.from(text).toString('hex').replace(/../g, '%$&');
/** Spellings of an id in a URL; those that decode once to the id itself are the id. */
const spellings = (id: string): Array<[string, isSame: boolean]> => [
  [id, true],
  [encodeAll(id), true],
  [`%${id.charCodeAt(0).toString(16)}${id.slice(1)}`, true],
  [encodeAll(id).replaceAll('%', '%25'), false],
  [id.toUpperCase(), false],
  [`${id}%00`, false],
  [`%20${id}`, false],
  [`${id}%20`, false],
  [`${id}%2f..`, false],
  [`*`, false],
  [`%25`, false],
  [`${id}'%20OR%20'1'='1`, false],
];

const query = (entries: Record<string, string>) =>
  Object.entries(entries).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);

function urlOf(path: string, { params = {}, query: parameters }: Case, tenant: string, ids: Ids): string {
  const url = path.replace(/\{(\w+)\}/g, (_all, name: string) => {
    const kind = params[name];
    if (kind === undefined) throw new Error(`The case of ${path} does not say what {${name}} is the id of.`);
    return kind === 'tenant' ? tenant : ids[kind];
  });
  const search = query(parameters?.(ids) ?? {}).join('&');
  return search === '' ? url : `${url}?${search}`;
}

const withQuery = (url: string, more: string) => `${url}${url.includes('?') ? '&' : '?'}${more}`;

/** Every place of a call in which the other tenant can be named, and every way to say it. */
function attempts(path: string, it: Case, own: TenantId): Attempt[] {
  const other = OTHER[own];
  const bodies = it.bodies ?? (() => [undefined]);
  const plain = bodies(undefined, SHARED).map((body) => (body === undefined ? body : JSON.stringify(body)));
  const [body] = plain;
  const base = urlOf(path, it, own, SHARED);
  const list: Attempt[] = [{ what: 'names nobody', path: base, body, mustMismatch: false }];
  const add = (what: string, more: Partial<Attempt>) =>
    list.push({ what, path: base, body, mustMismatch: false, ...more });

  for (const [spelling, isSame] of spellings(other)) {
    add(`query ${spelling}`, { path: withQuery(base, `tenant_id=${spelling}`), mustMismatch: isSame });
    if (Object.values(it.params ?? {}).includes('tenant'))
      add(`path ${spelling}`, { path: urlOf(path, it, spelling, SHARED), mustMismatch: isSame });
  }
  for (const [both, what] of [
    [`tenant_id=${own}&tenant_id=${other}`, 'query twice, own first'],
    [`tenant_id=${other}&tenant_id=${own}`, 'query twice, other first'],
    [`tenant_id=${own}&tenant%5fid=${other}`, 'query twice, encoded name'],
    [`%74enant_id=${other}`, 'query with an encoded name'],
  ] as const)
    add(what, { path: withQuery(base, both), mustMismatch: true });
  for (const name of [
    'tenant_id[]',
    'Tenant_Id',
    'tenantId',
    'tenant',
    'id',
    '__proto__',
    '__proto__[tenant_id]',
    'constructor',
  ])
    add(`query ${name}`, { path: withQuery(base, `${name}=${other}`) });
  for (const prefix of [`/tenant/${other}/..`, `/${other}`, `/tenant/${other}`, '//', '/%2e%2e'])
    add(`path below ${prefix}`, { path: `${prefix}${base}` });
  for (const params of Object.values(it.params ?? {})) {
    if (params === 'tenant') continue;
    for (const id of [
      `${other}/${SHARED[params]}`,
      `${other}%2f${SHARED[params]}`,
      `..%2f${other}%2f${SHARED[params]}`,
      `${other}:${SHARED[params]}`,
    ])
      add(`path id ${id}`, { path: urlOf(path, it, own, { ...SHARED, [params]: id }) });
  }
  add('headers', {
    headers: {
      'X-Tenant-Id': other,
      'X-Tenant': other,
      'X-Original-URL': `/tenant/${other}`,
      'X-Rewrite-URL': `/tenant/${other}`,
      'X-HTTP-Method-Override': 'DELETE',
      Authorization: `Bearer ${ADMIN}`,
      Cookie: `X-API-Token=${ADMIN}`,
    },
  });

  if (it.bodies === undefined) {
    add('a body that is not read', { body: JSON.stringify({ tenant_id: other, id: other }) });
    return list;
  }
  for (const value of [
    other,
    other.toUpperCase(),
    ` ${other}`,
    `${other}\0`,
    [other],
    [own, other],
    { id: other },
    { toString: other },
    0,
    true,
  ]) {
    for (const sent of it.bodies(value, SHARED))
      add(`body ${JSON.stringify(value)}`, {
        body: JSON.stringify(sent),
        mustMismatch: value === other && JSON.stringify(sent).includes(other),
      });
  }
  for (const sent of it.bodies('@', SHARED)) {
    const text = JSON.stringify(sent);
    if (!text.includes('"@"')) continue;
    const field = /"(\w+)":"@"/.exec(text)?.[0] ?? '';
    const name = field.slice(1, field.indexOf('"', 1));
    const say = (members: string) => text.replace(field, members);
    const escaped = `\\u${other.charCodeAt(0).toString(16).padStart(4, '0')}${other.slice(1)}`;
    add('body escaped', { body: say(`"${name}":"${escaped}"`), mustMismatch: true });
    add('body escaped name', {
      body: say(`"\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}":"${other}"`),
      mustMismatch: true,
    });
    add('body twice, other last', {
      body: say(`"${name}":"${own}","${name}":"${other}"`),
      mustMismatch: true,
    });
    add('body twice, own last', { body: say(`"${name}":"${other}","${name}":"${own}"`) });
    add('body __proto__', { body: say(`"__proto__":{"${name}":"${other}"}`) });
    add('body constructor', { body: say(`"constructor":{"prototype":{"${name}":"${other}"}}`) });
    add('body and query disagree', {
      path: withQuery(base, `tenant_id=${own}`),
      body: say(`"${name}":"${other}"`),
      mustMismatch: true,
    });
    add('query and body disagree', {
      path: withQuery(base, `tenant_id=${other}`),
      body: say(`"${name}":"${own}"`),
      mustMismatch: true,
    });
  }
  for (const wrapped of [
    `[${body}]`,
    `{"tenant_id":"${other}","body":${body}}`,
    `{"__proto__":${body}}`,
    `"${other}"`,
    'null',
  ])
    add('body of another shape', { body: wrapped });
  return list;
}

/** Sends an attempt as it is spelled. */
const send = (method: string, { path, body, headers = {} }: Attempt, token: string): Promise<Answer> => {
  const isSent = body !== undefined && method !== 'GET' && method !== 'HEAD';
  return server.request(method, path, {
    token,
    headers: { ...(isSent ? { 'Content-Type': 'application/json' } : {}), ...headers },
    ...(isSent ? { body } : {}),
  });
};

/** Lists answer JSON, the export of the trail lines of it. */
const parsesAsJson = (key: string) => !['GET /command-log/export', 'GET /metrics'].includes(key);

describe.each(Object.keys(CASES).map((key) => [key, CASES[key] as Case] as const))('%s', (key, it) => {
  const [method = '', path = ''] = key.split(' ');
  test.each(['acme', 'globex'] as const)(
    '%s reaches nothing of the other tenant, wherever it names it',
    async (own) => {
      const other = OTHER[own];
      for (const attempt of attempts(path, it, own)) {
        if (it.uncertain) raw.exec("UPDATE messages SET state = 'uncertain'");
        const before = readAllRows(raw);
        server.calls.length = 0;
        const answer = await send(method, attempt, TOKENS[own]);
        const after = readAllRows(raw);
        const what = `${own}: ${method} ${attempt.path} ${attempt.body ?? ''} (${attempt.what}) → ${answer.status} ${answer.text.slice(0, 200)}`;
        expect(after.byTenant[other], what).toEqual(before.byTenant[other]);
        expect(after.shared, what).toEqual(before.shared);
        expect(answer.text, what).not.toContain(canaryOf(other));
        expect(answer.text, what).not.toContain('ENC:');
        expect(answer.status, what).toBeLessThan(500);
        expect(server.calls, what).not.toContainEqual({ runNow: other });
        expect(server.calls, what).not.toContainEqual({ runNow: undefined });
        if (answer.status >= 400) expect(after, what).toEqual(before);
        if (it.admin && !attempt.what.startsWith('path ')) expect(answer.status, what).toBe(403);
        else if (it.admin) expect([401, 403, 404, 405], what).toContain(answer.status);
        else if (attempt.mustMismatch && key !== 'GET /health')
          expect([answer.status, answer.json.code], what).toEqual([401, 'tenant_mismatch']);
        if (attempt.what === 'names nobody') expect(answer.status, what).toBe(it.admin ? 403 : 200);
        if (!hasRows(after, own)) await seed(own);
      }
      if (it.uncertain) raw.exec("UPDATE messages SET state = 'ready'");
    },
  );

  test('what exists only in the other tenant is answered exactly like what does not exist', async () => {
    const bodiesOf = (ids: Ids): Array<string | undefined> =>
      it.bodies?.(undefined, ids).map((body) => JSON.stringify(body)) ?? [undefined];
    const ask = async (ids: Ids) => {
      const answers: Array<{ status: number; text: string }> = [];
      for (const body of bodiesOf(ids)) {
        raw.exec("DELETE FROM suspensions WHERE tenant_id = 'acme'");
        const attempt = { what: '', path: urlOf(path, it, 'acme', ids), body, mustMismatch: false };
        const { status, text } = await send(method, attempt, ACME);
        answers.push({ status, text: text.replaceAll(ids.account, '<id>') });
        await api('DELETE', `/account/${ids.account}?tenant_id=acme&force=true`, ADMIN);
      }
      return answers;
    };
    if (!JSON.stringify([it.params, it.query?.(SOLO), bodiesOf(SOLO)]).match(/account|message|token|solo1/))
      return;
    const before = readAllRows(raw);
    const foreign = await ask(SOLO);
    expect(foreign).toEqual(await ask(ABSENT));
    expect(readAllRows(raw).byTenant.globex).toEqual(before.byTenant.globex);
  });

  test('works for the admin, so that what is refused above is refused for what it names', async () => {
    if (!it.admin || key === 'POST /commands/rotate-token') return;
    const [body] = it.bodies?.('acme', { ...SHARED, token: 'free1' }) ?? [undefined];
    const attempt = {
      what: '',
      path: urlOf(path, it, 'acme', SHARED),
      body: JSON.stringify(body),
      mustMismatch: false,
    };
    const response = await server.app.request(attempt.path, {
      method,
      headers: { 'X-API-Token': ADMIN, 'Content-Type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    expect(response.status, text).toBe(200);
    if (parsesAsJson(key)) expect(JSON.parse(text)).toMatchObject({ ok: true });
    await server.addTenant('acme', ACME).catch(() => undefined);
    await seed('acme');
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ACME, ADMIN, account, openTestApp, type TestApp } from '../support/http.js';
import { openRaw } from '../support/tenant-rows.js';

let server: TestApp;
beforeEach(async () => {
  server = await openTestApp();
});
afterEach(() => server.close());

interface Event {
  seq: number;
  event: string;
  actor: string;
  tenant_id: string | null;
  subject: string | null;
  hash: string;
}

const admin = (method: string, path: string, json?: unknown) =>
  server.request(method, path, { token: ADMIN, ...(json === undefined ? {} : { json }) });
const events = async (query = '') => (await admin('GET', `/command-log${query}`)).json.events as Event[];
const names = async (query: string) =>
  (await events(query)).map(({ event, subject }) => `${event} ${subject}`);
const exported = async () => {
  const response = await server.app.request('/command-log/export', { headers: { 'X-API-Token': ADMIN } });
  return { response, text: await response.text() };
};

test.each(['GET /command-log', 'GET /command-log/export', 'POST /command-log/verify'])(
  '%s is for the admin alone',
  async (route) => {
    const [method = '', path = ''] = route.split(' ');
    expect(await server.request(method, path, { token: ACME })).toMatchObject({
      status: 403,
      json: { code: 'forbidden' },
    });
    expect((await server.request(method, path)).status).toBe(401);
  },
);

describe('GET /command-log', () => {
  test('says what was done, by whom, to what, newest first, and never a secret', async () => {
    await server.request('POST', '/account', { token: ACME, json: account() });
    const { json, text } = await admin('GET', '/command-log?limit=1');
    expect(json).toEqual({
      ok: true,
      events: [
        {
          seq: expect.any(Number),
          chain: 1,
          created_at: new Date(server.clock.now).toISOString(),
          event: 'account.created',
          actor: 'tenant:acme/default',
          address: null,
          tenant_id: 'acme',
          subject: 'smtp1',
          detail: expect.any(Object),
          hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
      ],
      next_cursor: expect.any(String),
    });
    expect(text).not.toMatch(/swordfish|ENC:/);
  });

  test('is paged without gaps or repetition', async () => {
    const all = await events();
    const paged: Event[] = [];
    let cursor = '';
    do {
      const { json } = await admin('GET', `/command-log?limit=2${cursor}`);
      paged.push(...(json.events as Event[]));
      cursor = json.next_cursor === undefined ? '' : `&cursor=${String(json.next_cursor)}`;
    } while (cursor !== '');
    expect(paged).toEqual(all);
    expect(all.map(({ seq }) => seq)).toEqual(all.map((_event, i) => all.length - i));
  });

  test('is filtered by tenant, event, actor and time', async () => {
    await server.request('POST', '/account', { token: ACME, json: account() });
    const noon = server.clock.now;
    server.clock.now += 60_000;
    await admin('POST', '/account', account({ tenant_id: 'globex', id: 'late1' }));
    expect(await names('?tenant_id=globex&event=account.created')).toEqual(['account.created late1']);
    expect(await names('?actor=tenant:acme/default')).toEqual(['account.created smtp1']);
    expect(await names(`?since=${noon / 1000 + 1}`)).toEqual(['account.created late1']);
    expect(
      await names(`?event=account.created&until=${encodeURIComponent(new Date(noon + 1).toISOString())}`),
    ).toEqual(['account.created smtp1']);
    expect(await names('?actor=nobody')).toEqual([]);
  });

  test.each([
    'event=nosuch',
    'since=yesterday',
    'limit=0',
    'cursor=x',
    'tenant_id=..',
    'nosuch=1',
    'limit=1&limit=2',
  ])('?%s is 422', async (query) => {
    expect(await admin('GET', `/command-log?${query}`)).toMatchObject({
      status: 422,
      json: { code: 'validation_failed' },
    });
  });
});

describe('GET /command-log/export', () => {
  test('is the whole trail in the order of writing, one JSON object a line', async () => {
    await admin('POST', '/account', account({ tenant_id: 'acme' }));
    const { response, text } = await exported();
    expect(response.status).toBe(200);
    expect(response.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8');
    expect(text.endsWith('\n')).toBe(true);
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Event);
    expect(lines).toEqual((await events()).reverse());
    expect(text).not.toMatch(/swordfish|ENC:|secret-token/);
  });

  test('holds every record of a trail that is longer than one step', async () => {
    const one = {
      event: 'config.changed' as const,
      actor: { kind: 'daemon' as const },
      tenantId: null,
      subject: 'x',
      detail: {},
    };
    await server.store.audit.append(
      Array.from({ length: 1100 }, () => one),
      server.clock.now,
    );
    const lines = (await exported()).text.trimEnd().split('\n');
    const seqs = lines.map((line) => (JSON.parse(line) as Event).seq);
    expect(seqs).toEqual(seqs.map((_seq, i) => i + 1));
    expect(seqs.length).toBeGreaterThan(1100);
  });
});

describe('POST /command-log/verify', () => {
  const verify = (json?: object) => admin('POST', '/command-log/verify', json);

  test('counts what it checked and answers the head', async () => {
    const [newest] = await events('?limit=1');
    const { json } = await verify();
    expect(json).toEqual({
      ok: true,
      checked: newest?.seq,
      unverifiable: 0,
      head: `${newest?.seq}:${newest?.hash}`,
      problem: null,
    });
    expect((await verify({ head: json.head })).json).toMatchObject({ ok: true });
    expect((await verify({ head: newest?.hash.toUpperCase() })).json).toMatchObject({ ok: true });
  });

  test('names the place of an edited record', async () => {
    const raw = openRaw(server.path);
    raw.prepare("UPDATE audit_events SET actor = 'os:nobody' WHERE seq = 3").run();
    raw.close();
    expect((await verify()).json).toMatchObject({ ok: false, problem: expect.stringContaining('Record 3') });
  });

  test('with a head knows that the tail was cut', async () => {
    const { json } = await verify();
    const raw = openRaw(server.path);
    raw.prepare('DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)').run();
    raw.close();
    expect((await verify({ head: json.head })).json).toMatchObject({
      ok: false,
      problem: expect.stringContaining('tail was cut'),
    });
  });

  test.each([{ head: 'x' }, { head: 1 }, { head: `${'1'.repeat(16)}:${'a'.repeat(64)}` }, { nosuch: 1 }, []])(
    '%j is 422',
    async (json) => {
      expect(await verify(json)).toMatchObject({ status: 422, json: { code: 'validation_failed' } });
    },
  );
});

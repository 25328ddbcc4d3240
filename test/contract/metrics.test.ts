import { beforeEach, describe, expect, test } from 'vitest';
import type { AccountInput } from '../../src/core/account-settings.js';
import { useCleanup } from '../support/cleanup.js';
import { ACME, ADMIN } from '../support/http.js';
import { type Metered, openMetered } from '../support/metered.js';
import { parseScrape } from '../support/scrape.js';
import { startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
const MINUTE = 60_000;
let it: Metered;
beforeEach(async () => {
  it = closing(await openMetered(), (opened) => opened.close());
});

const serve = async () => closing(await startSmtpServer({ tls: 'none' }), (server) => server.close());
const at = ({ port }: { port: number }, changes: AccountInput = {}): AccountInput => ({
  host: '127.0.0.1',
  port,
  tls: 'none',
  ...changes,
});
const acme = { tenant_id: 'acme', account_id: 'smtp1' };
const globex = { tenant_id: 'globex', account_id: 'smtp1' };

describe('what becomes of messages', () => {
  test('one that was sent', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    it.clock.now += 3000;
    await it.dispatcher.start();
    const scrape = await it.scrapeUntil(({ of }) => of('gmp_sent_total', acme) === 1);
    expect(scrape.of('gmp_errors_total', acme)).toBe(0);
    expect(scrape.of('gmp_deferred_total', acme)).toBe(0);
    expect(scrape.of('gmp_rate_limited_total', acme)).toBe(0);
    expect(scrape.of('gmp_attempts_total', { reply_class: '2xx' })).toBe(1);
    expect(scrape.of('gmp_time_to_send_seconds_count')).toBe(1);
    expect(scrape.of('gmp_time_to_send_seconds_sum')).toBe(3);
    expect(scrape.of('gmp_time_to_send_seconds_bucket', { le: '2.5' })).toBe(0);
    expect(scrape.of('gmp_time_to_send_seconds_bucket', { le: '5' })).toBe(1);
    expect(scrape.of('gmp_time_to_send_seconds_bucket', { le: '+Inf' })).toBe(1);
    expect(scrape.of('gmp_pending_messages')).toBe(0);
  });

  test('one that the server refused', async () => {
    const server = await serve();
    server.onRcpt = () => ({ code: 550, message: 'no such user' });
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    const scrape = await it.scrapeUntil(({ of }) => of('gmp_errors_total', acme) === 1);
    expect(scrape.of('gmp_sent_total', acme)).toBe(0);
    expect(scrape.of('gmp_attempts_total', { reply_class: '5xx' })).toBe(1);
    expect(scrape.of('gmp_time_to_send_seconds_count')).toBe(0);
  });

  test('one of which a recipient was refused is an error, though the server took it', async () => {
    const server = await serve();
    server.onRcpt = (to) => (to.startsWith('no') ? { code: 550, message: 'no such user' } : undefined);
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1', {
      envelope: { from: 'a@example.com', to: ['yes@example.org', 'no@example.org'] },
    });
    await it.dispatcher.start();
    const scrape = await it.scrapeUntil(({ of }) => of('gmp_errors_total', acme) === 1);
    expect(scrape.of('gmp_sent_total', acme)).toBe(0);
    expect(scrape.of('gmp_attempts_total', { reply_class: '2xx' })).toBe(1);
  });

  test('one that was put off by a 4xx, then sent: its time counts from when it was first due', async () => {
    const server = await serve();
    let isBusy = true;
    server.onData = () => (isBusy ? { code: 451, message: 'later' } : undefined);
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1', { deferredAt: it.clock.now + MINUTE });
    it.clock.now += MINUTE;
    await it.dispatcher.start();
    const off = await it.scrapeUntil(({ of }) => of('gmp_deferred_total', acme) === 1);
    expect(off.of('gmp_attempts_total', { reply_class: '4xx' })).toBe(1);
    expect(off.of('gmp_pending_messages')).toBe(1);
    isBusy = false;
    it.pass(2 * MINUTE);
    const sent = await it.scrapeUntil(({ of }) => of('gmp_sent_total', acme) === 1);
    expect(sent.of('gmp_deferred_total', acme)).toBe(1);
    expect(sent.of('gmp_time_to_send_seconds_sum')).toBe(120);
  });

  test('one whose time was over ends in error without an attempt', async () => {
    await it.account('acme', at({ port: 1 }));
    await it.enqueue('acme', 'm1', { expiresAt: it.clock.now + MINUTE });
    it.clock.now += MINUTE;
    await it.dispatcher.start();
    const scrape = await it.scrapeUntil(({ of }) => of('gmp_errors_total', acme) === 1);
    expect(scrape.text).toContain('gmp_attempts_total{reply_class="connection"} 0');
  });

  test('a rate limit that holds messages back counts, one that is just kept does not', async () => {
    const server = await serve();
    await it.account('acme', at(server, { limitHour: 1 }));
    await it.account('globex', at(server, { limitHour: 1 }));
    await it.enqueue('acme', 'm1');
    await it.enqueue('acme', 'm2');
    await it.enqueue('globex', 'm1');
    await it.dispatcher.start();
    const isDone = ({ of }: Awaited<ReturnType<Metered['scrape']>>) =>
      of('gmp_sent_total', acme) === 1 &&
      of('gmp_sent_total', globex) === 1 &&
      of('gmp_rate_limited_total', acme) === 1;
    const scrape = await it.scrapeUntil(isDone);
    expect(scrape.of('gmp_rate_limited_total', globex)).toBe(0);
    expect(scrape.of('gmp_lanes', { state: 'limited' })).toBeGreaterThanOrEqual(1);
    expect(scrape.of('gmp_deferred_total', acme)).toBe(0);
  });

  test('an account that rejects what is over its limit counts each as limited and as an error', async () => {
    const server = await serve();
    await it.account('acme', at(server, { limitHour: 1, limitBehavior: 'reject' }));
    for (const id of ['m1', 'm2', 'm3']) await it.enqueue('acme', id);
    await it.dispatcher.start();
    const scrape = await it.scrapeUntil(
      ({ of }) => of('gmp_rate_limited_total', acme) === 2 && of('gmp_sent_total', acme) === 1,
    );
    expect(scrape.of('gmp_errors_total', acme)).toBe(2);
  });
});

describe('accounts', () => {
  test('of equal ids in two tenants are counted apart', async () => {
    const server = await serve();
    for (const tenant of ['acme', 'globex']) await it.account(tenant, at(server));
    for (const id of ['m1', 'm2']) await it.enqueue('acme', id);
    await it.enqueue('globex', 'm1');
    await it.dispatcher.start();
    const isSent = ({ of }: Awaited<ReturnType<Metered['scrape']>>) =>
      of('gmp_sent_total', acme) === 2 && of('gmp_sent_total', globex) === 1;
    const scrape = await it.scrapeUntil(isSent);
    expect(scrape.of('gmp_breaker_open', acme)).toBe(0);
    expect(scrape.of('gmp_breaker_open', globex)).toBe(0);
    expect(scrape.of('gmp_lanes', { state: 'idle' })).toBe(2);
  });

  test('whose server is down have an open breaker until it works again', async () => {
    const server = await serve();
    const { port } = server;
    await server.close();
    await it.account('acme', at({ port }));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    const down = await it.scrapeUntil(({ of }) => of('gmp_breaker_open', acme) === 1);
    expect(down.of('gmp_lanes', { state: 'open' })).toBe(1);
    const tried = await it.scrapeUntil(
      ({ of }) => (of('gmp_attempts_total', { reply_class: 'connection' }) ?? 0) > 0,
    );
    expect(tried.of('gmp_errors_total', acme)).toBe(0);
    expect(tried.of('gmp_deferred_total', acme)).toBe(0);
    const again = await serve();
    await it.account('acme', at(again));
    it.dispatcher.wake();
    const up = await it.scrapeUntil(({ of }) => of('gmp_sent_total', acme) === 1);
    expect(up.of('gmp_breaker_open', acme)).toBe(0);
  });

  test('that are deleted leave no label behind', async () => {
    const server = await serve();
    for (const tenant of ['acme', 'globex']) {
      await it.account(tenant, at(server));
      await it.enqueue(tenant, 'm1');
    }
    await it.dispatcher.start();
    await it.scrapeUntil(({ of }) => of('gmp_sent_total', acme) === 1 && of('gmp_sent_total', globex) === 1);
    await it.server.request('DELETE', '/account/smtp1?tenant_id=acme', { token: ADMIN });
    await it.server.request('DELETE', '/tenant/globex', { token: ADMIN });
    const { text } = await it.scrape();
    expect(text).not.toMatch(/acme|globex/);
  });
});

describe('the queue', () => {
  const age = (priority: string) => async () => (await it.scrape()).of('gmp_queue_age_seconds', { priority });

  test('is as old as its oldest message that is due, by priority', async () => {
    await it.account('acme', at({ port: 1 }));
    await it.account('globex', at({ port: 1 }));
    await it.enqueue('acme', 'old', { priority: 1 });
    it.clock.now += 10_000;
    await it.enqueue('globex', 'newer', { priority: 1 });
    await it.enqueue('globex', 'later', { priority: 0, deferredAt: it.clock.now + MINUTE });
    it.clock.now += 5000;
    expect(await age('high')()).toBe(15);
    expect(await age('immediate')()).toBe(0);
    it.clock.now += MINUTE;
    expect(await age('immediate')()).toBe(5);
    expect(await age('medium')()).toBe(0);
    expect((await it.scrape()).of('gmp_pending_messages')).toBe(3);
  });

  test('does not age by what was stopped on purpose', async () => {
    await it.account('acme', at({ port: 1 }));
    await it.enqueue('acme', 'm1');
    it.clock.now += MINUTE;
    expect(await age('medium')()).toBe(60);
    await it.server.request('POST', '/commands/suspend?tenant_id=acme', { token: ADMIN });
    expect(await age('medium')()).toBe(0);
    await it.server.request('POST', '/commands/activate?tenant_id=acme', { token: ADMIN });
    expect(await age('medium')()).toBe(60);
  });
});

describe('the server', () => {
  test('says what it is, how large it is, and where its trail stands', async () => {
    const head = await it.store.audit.head();
    it.clock.now += 7000;
    const scrape = await it.scrape();
    expect(scrape.of('gmp_build_info', { version: '1.2.3' })).toBe(1);
    expect(scrape.of('gmp_uptime_seconds')).toBe(7);
    expect(scrape.of('gmp_audit_head')).toBe(head?.seq);
    expect(scrape.of('gmp_audit_head_info', { hash: head?.hash ?? '' })).toBe(1);
    expect(scrape.of('gmp_database_bytes', { file: 'database' })).toBeGreaterThan(0);
    expect(scrape.of('gmp_database_bytes', { file: 'wal' })).toBeGreaterThan(0);
    expect(scrape.of('process_resident_memory_bytes')).toBeGreaterThan(1e6);
    for (const quantile of ['0.5', '0.99', '1'])
      expect(scrape.of('gmp_event_loop_delay_seconds', { quantile })).toBeGreaterThanOrEqual(0);
  });

  test('sees that its event loop was held up, once', async () => {
    // Time itself is measured here: the clock of the measuring, which nobody can ask, has to tick before and after.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const until = performance.now() + 200;
    while (performance.now() < until);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await it.scrape()).of('gmp_event_loop_delay_seconds', { quantile: '1' })).toBeGreaterThan(0.1);
  });

  test('measures requests by their declared route; what a client makes up is no label', async () => {
    await it.server.request('GET', '/account/some-id?tenant_id=acme', { token: ADMIN });
    await it.server.request('GET', '/invented/path', { token: ADMIN });
    await it.server.request('INVENTED', '/health');
    const { of, text } = await it.scrape();
    const name = 'gmp_http_request_duration_seconds_count';
    expect(of(name, { method: 'GET', route: '/account/{id}', status: '404' })).toBe(1);
    expect(of(name, { method: 'GET', route: 'unknown route', status: '404' })).toBe(1);
    expect(of(name, { method: 'other', route: '/health', status: '405' })).toBe(1);
    expect(text).not.toMatch(/some-id|invented/i);
  });
});

describe('who may scrape', () => {
  const bearer = (token: string) => ({ headers: { Authorization: token } });
  const status = async (parts: Parameters<typeof it.server.request>[2]) =>
    (await it.server.request('GET', '/metrics', parts)).status;

  test('the admin, by either header', async () => {
    expect(await status({ token: ADMIN })).toBe(200);
    expect(await status(bearer(`Bearer ${ADMIN}`))).toBe(200);
    expect(await status(bearer(`bearer  ${ADMIN} `))).toBe(200);
    const answer = await it.server.request('GET', '/metrics', { token: ADMIN });
    expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(() => parseScrape(answer.text)).not.toThrow();
  });

  test('nobody else', async () => {
    expect(await status({})).toBe(401);
    expect(await status({ token: 'wrong' })).toBe(401);
    for (const other of ['Bearer wrong', 'Bearer', 'Bearer ', ADMIN, `Basic ${ADMIN}`, `Bearer${ADMIN}`])
      expect(await status(bearer(other)), other).toBe(401);
    expect(await status(bearer('Bearer acme-token'))).toBe(403);
    expect(await status({ token: 'acme-token' })).toBe(403);
    expect(await status({ token: 'wrong', ...bearer(`Bearer ${ADMIN}`) })).toBe(401);
  });

  test('as the OpenAPI document says', async () => {
    const { json } = await it.server.request('GET', '/openapi.json', { token: ADMIN });
    const { get } = (json.paths as Record<string, { get: Record<string, unknown> }>)['/metrics'] ?? {};
    expect(get?.security).toEqual([{ ApiToken: [] }, { BearerToken: [] }]);
    expect(get?.responses).toMatchObject({ 200: { content: { 'text/plain': {} } } });
  });

  test('and no other route takes a bearer token', async () => {
    expect((await it.server.request('GET', '/status', bearer(`Bearer ${ADMIN}`))).status).toBe(401);
  });

  test('a scrape holds no secret, no address and no host', async () => {
    const server = await serve();
    await it.account('acme', at(server));
    await it.enqueue('acme', 'm1');
    await it.dispatcher.start();
    const { text } = await it.scrapeUntil(({ of }) => of('gmp_sent_total', acme) === 1);
    expect(text).not.toMatch(/@|127\.0\.0\.1|example|token/);
    expect(text).not.toContain(ADMIN);
    expect(text).not.toContain(ACME);
  });
});

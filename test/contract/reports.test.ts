import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../support/processes.js';
import { answerJson, openReportEndpoint, type ReportEndpoint } from '../support/report-endpoint.js';
import { openTestReports, type TestReports } from '../support/reports.js';

const MINUTE = 60_000;

let reports: TestReports;
let endpoint: ReportEndpoint;
let other: ReportEndpoint;
beforeEach(async () => {
  reports = await openTestReports();
  endpoint = await openReportEndpoint();
  other = await openReportEndpoint();
});
afterEach(async () => {
  await reports.close();
  await endpoint.close();
  await other.close();
});

/** Gives `acme` the endpoint, starts, and lets the first call, which carries nothing, pass. */
async function begin(): Promise<void> {
  await reports.tenant('acme', { clientBaseUrl: endpoint.url });
  await reports.reporter.start();
  await endpoint.waitFor(1);
  await until(() => synced('acme') !== undefined, 'the first call is written down');
  await reports.quiet();
  endpoint.calls.length = 0;
}

const synced = (tenantId: string) =>
  (
    reports.raw.prepare('SELECT last_sync_at AS at FROM sync_states WHERE tenant_id = ?').get(tenantId) as
      | { at: number }
      | undefined
  )?.at;
const pkOf = (id: string) =>
  (reports.raw.prepare('SELECT pk FROM messages WHERE id = ?').get(id) as { pk: number }).pk;
const idsOf = (call: { reports: Array<Record<string, unknown>> } | undefined) =>
  call?.reports.map(({ id }) => id);

describe('a report', () => {
  it('has the fields of its event and no other, and goes out as soon as it is on disk', async () => {
    await begin();
    const ts = Math.floor(reports.clock.now / 1000);
    const common = (id: string) => ({ tenant_id: 'acme', id, pk: pkOf(id) });
    await reports.settle('acme', 'm1');
    expect((await endpoint.waitFor(1))[0]?.reports).toEqual([{ ...common('m1'), sent_ts: ts }]);
    await reports.settle('acme', 'm2', { kind: 'error', error: 'No such user.' });
    expect((await endpoint.waitFor(2))[1]?.reports).toEqual([
      { ...common('m2'), error_ts: ts, error: 'No such user.' },
    ]);
    const dueAt = reports.clock.now + MINUTE;
    await reports.settle('acme', 'm3', { kind: 'retry', dueAt, error: '451 busy' });
    expect((await endpoint.waitFor(3))[2]?.reports).toEqual([
      { ...common('m3'), deferred_ts: ts, deferred_reason: '451 busy' },
    ]);
    await reports.untilWaiting(0);
    expect(endpoint.calls[0]).toMatchObject({ method: 'POST', path: '/mail-proxy/sync' });
  });

  it('tells once that a message waits for a rate limit', async () => {
    await begin();
    await reports.account('acme', { limitMinute: 1 });
    await reports.enqueue('acme', 'm1', 'm2', 'm3');
    expect((await reports.claim('acme')).claims).toHaveLength(1);
    for (let n = 0; n < 3; n++) await reports.claim('acme');
    const [call] = await endpoint.waitFor(1);
    expect(call?.reports).toMatchObject([{ id: 'm2' }, { id: 'm3' }]);
    expect(call?.reports[0]?.deferred_reason).toMatch(/rate limit of the account/);
    await reports.untilWaiting(0);
    reports.clock.now += MINUTE;
    expect((await reports.claim('acme')).claims).toHaveLength(1);
    await reports.claim('acme');
    expect(reports.waiting()).toBe(0);
    expect(endpoint.calls).toHaveLength(1);
  });

  it('is not queued for a tenant that has no endpoint', async () => {
    await reports.settle('acme', 'm1');
    expect(reports.waiting()).toBe(0);
  });

  it('comes with others, 500 a call and in their order', async () => {
    await reports.tenant('acme', { clientBaseUrl: endpoint.url });
    const ids = Array.from({ length: 501 }, (_, i) => `m${i}`);
    await reports.account('acme');
    await reports.enqueue('acme', ...ids);
    for (const { pk, claim } of (await reports.claim('acme')).claims) {
      const recipients = [{ position: 0, state: 'sent' as const, code: 250, reply: 'ok' }];
      await reports.store.claims.settle(
        { pk, claim, recipients, next: { kind: 'final' } },
        reports.clock.now,
      );
    }
    await reports.reporter.start();
    const calls = await endpoint.waitFor(2);
    expect(calls.map((call) => call.reports.length)).toEqual([500, 1]);
    expect(calls.flatMap(idsOf)).toEqual(ids);
    await reports.untilWaiting(0);
  }, 20_000);

  it('is told to its own tenant alone', async () => {
    await begin();
    await reports.tenant('globex', { clientBaseUrl: other.url });
    await reports.settle('acme', 'm1');
    await reports.settle('globex', 'm1');
    await reports.settle('globex', 'm2');
    await reports.untilWaiting(0);
    expect(endpoint.calls.flatMap((call) => call.reports)).toMatchObject([{ tenant_id: 'acme', id: 'm1' }]);
    expect(other.calls.flatMap((call) => call.reports).every(({ tenant_id }) => tenant_id === 'globex')).toBe(
      true,
    );
    expect(other.calls.flatMap(idsOf)).toEqual(['m1', 'm2']);
  });

  it('waits while its tenant is inactive', async () => {
    await reports.tenant('acme', { clientBaseUrl: endpoint.url });
    await reports.settle('acme', 'm1');
    await reports.tenant('acme', { active: false });
    await reports.reporter.start();
    reports.reporter.runNow('acme');
    reports.pass(10 * MINUTE);
    await reports.quiet();
    expect(endpoint.calls).toEqual([]);
    await reports.tenant('acme', { active: true });
    expect(idsOf((await endpoint.waitFor(1))[0])).toEqual(['m1']);
    await reports.untilWaiting(0);
  });
});

describe('an answer', () => {
  it('acknowledges all but the ids in error, which come again later, without holding up others', async () => {
    await begin();
    endpoint.answer = (_call, response) =>
      answerJson(response, { ok: true, error: ['m1'], not_found: ['m2'] });
    const dueAt = reports.clock.now + MINUTE;
    await reports.settle('acme', 'm1', { kind: 'retry', dueAt, error: 'busy' });
    await reports.settle('acme', 'm2');
    await reports.untilWaiting(1);
    await until(() => reports.log.some((line) => line.includes("does not know the message(s) 'm2'")), 'told');
    reports.raw.exec("UPDATE messages SET state = 'ready', due_at = 0 WHERE id = 'm1'");
    await reports.settle('acme', 'm3');
    await reports.untilWaiting(2);
    await reports.quiet();
    endpoint.calls.length = 0;
    endpoint.answer = (_call, response) => answerJson(response, { ok: true });
    reports.pass(5000);
    const [call] = await endpoint.waitFor(1);
    expect(call?.reports).toMatchObject([
      { id: 'm1', deferred_reason: 'busy' },
      { id: 'm1', sent_ts: expect.any(Number) },
    ]);
    await reports.untilWaiting(0);
  });

  it.each([
    ['a status that is no success', 500, { ok: true }],
    ['no ok', 200, {}],
    ['ok that is not true', 200, { ok: 'true' }],
    ['errors that cannot be read', 200, { ok: true, error: 'm1' }],
    ['a list', 200, []],
  ])('with %s acknowledges none and is asked for again, later each time', async (_what, status, body) => {
    await begin();
    endpoint.answer = (_call, response) => answerJson(response, body, status);
    await reports.settle('acme', 'm1');
    await endpoint.waitFor(1);
    await reports.quiet();
    reports.pass(4999);
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(1);
    reports.pass(1);
    await endpoint.waitFor(2);
    await reports.quiet();
    reports.pass(9000);
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(2);
    endpoint.answer = (_call, response) => answerJson(response, { ok: true });
    reports.pass(1000);
    expect((await endpoint.waitFor(3))[2]?.text).toBe(endpoint.calls[0]?.text);
    await until(() => reports.log.some((line) => line.includes('go out again')), 'told');
    expect(reports.waiting()).toBe(0);
    expect(reports.log.filter((line) => line.startsWith('warn: Reports'))).toHaveLength(1);
  });

  it('may be of any shape and size: more than a mebibyte is not read', async () => {
    await begin();
    endpoint.answer = (_call, response) => {
      response.writeHead(200);
      response.write('{"ok": true, "x": "');
      response.end('x'.repeat(3_000_000));
    };
    await reports.settle('acme', 'm1');
    await until(() => reports.log.some((line) => line.includes('larger than 1048576 bytes')), 'told');
    expect(reports.waiting()).toBe(1);
  });

  it('that never ends is not waited for', async () => {
    endpoint.answer = (_call, response) => void response.writeHead(200).write('{');
    await reports.tenant('acme', { clientBaseUrl: endpoint.url });
    await reports.restart({ callTimeout: 100 });
    await until(() => reports.log.some((line) => line.includes('no answer came in time')), 'told');
    // Neither is what comes with a failure, and nothing of it is heard later.
    endpoint.answer = (_call, response) => void response.writeHead(500).write('x'.repeat(500_000));
    reports.pass(5000);
    await until(() => reports.log.some((line) => line.includes('status 500')), 'told');
    await reports.quiet();
  });

  it('that is a redirect is not followed', async () => {
    await begin();
    endpoint.answer = (_call, response) => {
      response.writeHead(307, { location: `${other.url}/stolen` }).end();
    };
    await reports.settle('acme', 'm1');
    await until(() => reports.log.some((line) => line.includes('status 307')), 'told');
    expect(other.calls).toEqual([]);
  });

  it('that says that more is queued brings a call at once, then one a second', async () => {
    await begin();
    endpoint.answer = (_call, response) => answerJson(response, { ok: true, queued: 3 });
    await reports.settle('acme', 'm1');
    await endpoint.waitFor(2);
    await reports.quiet();
    expect(endpoint.calls.map((call) => call.reports.length)).toEqual([1, 0]);
    reports.pass(1000);
    await endpoint.waitFor(3);
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(3);
  });

  it('that asks for quiet is heeded by calls without a report, until somebody says "run now"', async () => {
    await begin();
    endpoint.answer = (_call, response) =>
      answerJson(response, { ok: true, queued: 2, next_sync_after: reports.clock.now / 1000 + 3600 });
    await reports.settle('acme', 'm1');
    await endpoint.waitFor(1);
    await reports.untilWaiting(0);
    reports.pass(10 * MINUTE);
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(1);
    await reports.settle('acme', 'm2');
    await endpoint.waitFor(2);
    await reports.untilWaiting(0);
    reports.reporter.runNow('globex');
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(2);
    reports.reporter.runNow('acme');
    expect((await endpoint.waitFor(3))[2]?.reports).toEqual([]);
    await reports.quiet();
    endpoint.answer = (_call, response) => answerJson(response, { ok: true, next_sync_after: null });
    reports.reporter.runNow();
    await endpoint.waitFor(4);
    await reports.quiet();
    reports.pass(5 * MINUTE);
    await endpoint.waitFor(5);
  });
});

describe('the reporter', () => {
  it('calls a tenant every five minutes with nothing to report', async () => {
    await begin();
    reports.pass(5 * MINUTE - 1);
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(0);
    reports.pass(1);
    expect((await endpoint.waitFor(1))[0]?.text).toBe('{"delivery_report":[]}');
  });

  it('overrides the wait after a failure when it is told to run now', async () => {
    await begin();
    endpoint.answer = (_call, response) => answerJson(response, {}, 503);
    await reports.settle('acme', 'm1');
    await until(() => reports.log.some((line) => line.includes('status 503')), 'told');
    endpoint.answer = (_call, response) => answerJson(response, { ok: true });
    reports.reporter.runNow('acme');
    await reports.untilWaiting(0);
  });

  it('sends again after a restart what was not acknowledged', async () => {
    await begin();
    endpoint.answer = () => undefined;
    await reports.settle('acme', 'm1');
    await endpoint.waitFor(1);
    endpoint.answer = (_call, response) => answerJson(response, { ok: true });
    await reports.restart();
    expect(idsOf((await endpoint.waitFor(2))[1])).toEqual(['m1']);
    expect(endpoint.calls[1]?.headers['webhook-id']).toBe(endpoint.calls[0]?.headers['webhook-id']);
    await reports.untilWaiting(0);
  });

  it('remembers over a restart when a tenant was called, and that it wants quiet', async () => {
    await begin();
    reports.pass(4 * MINUTE);
    await reports.restart();
    await reports.quiet();
    expect(endpoint.calls).toHaveLength(0);
    reports.pass(MINUTE);
    await endpoint.waitFor(1);
  });

  it('lets one endpoint that does not answer delay no other, and calls none twice at a time', async () => {
    await begin();
    await reports.tenant('globex', { clientBaseUrl: other.url });
    endpoint.answer = () => undefined;
    await reports.settle('acme', 'm1');
    await endpoint.waitFor(1);
    await reports.settle('acme', 'm2');
    for (let n = 0; n < 5; n++) {
      await reports.settle('globex', `m${n}`);
      await until(() => other.calls.flatMap(idsOf).includes(`m${n}`), 'the other is told');
    }
    expect(endpoint.calls).toHaveLength(1);
  });

  it('calls the new endpoint at once when a tenant changes it', async () => {
    await begin();
    endpoint.answer = (_call, response) => answerJson(response, {}, 500);
    await reports.settle('acme', 'm1');
    await until(() => reports.log.some((line) => line.includes('status 500')), 'told');
    reports.clock.now += 1;
    await reports.tenant('acme', { clientBaseUrl: other.url });
    await reports.untilWaiting(0);
    expect(idsOf(other.calls[0])).toEqual(['m1']);
  });

  it('hears of what another connection has reported', async () => {
    await begin();
    await reports.account('acme');
    await reports.enqueue('acme', 'm1');
    reports.raw.exec(`INSERT INTO reports (tenant_id, message_pk, type, at)
      SELECT tenant_id, pk, 'sent', 1000 FROM messages WHERE tenant_id = 'acme'`);
    reports.reporter.wake();
    expect(idsOf((await endpoint.waitFor(1))[0])).toEqual(['m1']);
  });
});

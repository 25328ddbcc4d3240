import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cleanupMessages } from '../../src/services/cleanup-messages.js';
import { tenantScope } from '../../src/store/scope.js';
import { openTestReports, type TestReports } from '../support/reports.js';

const WEEK = 7 * 86_400_000;
const URL = 'http://app.example.com';

let reports: TestReports;
beforeEach(async () => {
  reports = await openTestReports();
  await reports.tenant('acme', { clientBaseUrl: URL });
});
afterEach(() => reports.close());

const messages = () =>
  (reports.raw.prepare('SELECT id FROM messages ORDER BY pk').all() as Array<{ id: string }>).map(
    ({ id }) => id,
  );
const clean = async () => {
  while ((await reports.store.cleanup.cleanUp(reports.clock.now, WEEK, 100)).handled > 0);
};
/** Acknowledges all that wait, as a call that is answered well does. */
async function acknowledge(tenantId: string): Promise<void> {
  const scope = tenantScope(tenantId);
  const acknowledged = await reports.store.reports.due(scope, Number.MAX_SAFE_INTEGER, 500);
  const result = { acknowledged, postponed: [], lastSyncAt: undefined, quietUntil: undefined };
  await reports.store.reports.settle(scope, result, reports.clock.now);
}

describe('the row of a final message', () => {
  it('is kept until its last report was acknowledged, and the retention time from then on', async () => {
    await reports.settle('acme', 'sent');
    await reports.settle('acme', 'failed', { kind: 'error', error: 'no' });
    reports.clock.now += 2 * WEEK;
    await clean();
    expect(messages()).toEqual(['sent', 'failed']);
    expect(reports.raw.prepare('SELECT COUNT(*) AS n FROM message_contents').get()).toEqual({ n: 1 });
    await acknowledge('acme');
    await clean();
    reports.clock.now += WEEK - 1;
    await clean();
    expect(messages()).toEqual(['sent', 'failed']);
    reports.clock.now += 1;
    await clean();
    expect(messages()).toEqual([]);
  });

  it('is kept from when it became final for a tenant without an endpoint', async () => {
    await reports.settle('globex', 'm1');
    reports.clock.now += WEEK;
    await clean();
    expect(messages()).toEqual([]);
  });

  it('is removed on demand only once it was reported', async () => {
    await reports.settle('acme', 'm1');
    reports.clock.now += WEEK;
    expect(await cleanupMessages(reports.context, 'acme', 0)).toBe(0);
    await acknowledge('acme');
    expect(await cleanupMessages(reports.context, 'acme', 1000)).toBe(0);
    expect(await cleanupMessages(reports.context, 'acme', 0)).toBe(1);
  });

  it('goes after the retention time with its reports when the tenant gives its endpoint up', async () => {
    await reports.settle('acme', 'm1');
    await clean();
    await reports.tenant('acme', { clientBaseUrl: null });
    const giveUp = () => reports.store.cleanup.giveUpReports(reports.clock.now, WEEK, 100);
    reports.clock.now += WEEK - 1;
    expect(await giveUp()).toBe(0);
    // It may have an endpoint again by then.
    expect(reports.waiting()).toBe(1);
    reports.clock.now += 1;
    expect(await giveUp()).toBe(1);
    await clean();
    expect([messages(), reports.waiting()]).toEqual([[], 0]);
  });
});

describe('a report', () => {
  it('is written with the change that it tells of, or not at all', async () => {
    reports.raw.exec(`CREATE TRIGGER fails BEFORE INSERT ON reports BEGIN SELECT RAISE(ABORT, 'no'); END`);
    await expect(reports.settle('acme', 'm1')).rejects.toThrow();
    expect(reports.raw.prepare('SELECT state FROM messages').get()).toEqual({ state: 'sending' });
  });

  it('goes with its message when that is deleted', async () => {
    await reports.settle('acme', 'm1');
    const by = { actor: reports.context.actor, now: reports.clock.now };
    await reports.store.deleteMessages(tenantScope('acme'), ['m1'], by);
    expect(reports.waiting()).toBe(0);
  });

  it("of another tenant is out of a tenant's reach", async () => {
    await reports.tenant('globex', { clientBaseUrl: URL });
    await reports.settle('acme', 'm1');
    const scope = tenantScope('globex');
    expect(await reports.store.reports.due(scope, Number.MAX_SAFE_INTEGER, 500)).toEqual([]);
    const acknowledged = await reports.store.reports.due(tenantScope('acme'), Number.MAX_SAFE_INTEGER, 500);
    const postponed = [{ messagePk: acknowledged[0]?.messagePk as number, dueAt: 99 }];
    const result = { acknowledged, postponed, lastSyncAt: undefined, quietUntil: undefined };
    await reports.store.reports.settle(scope, result, reports.clock.now);
    expect(await reports.store.reports.due(tenantScope('acme'), 0, 500)).toEqual(acknowledged);
  });
});

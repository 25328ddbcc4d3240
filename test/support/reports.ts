import Database from 'better-sqlite3';
import type { AccountInput } from '../../src/core/account-settings.js';
import { parseAllowance } from '../../src/core/destination.js';
import type { TenantInput } from '../../src/core/tenant-settings.js';
import { createDestinationGuard } from '../../src/delivery/destination-guard.js';
import { createPostReport, type PostReport } from '../../src/reports/post.js';
import { Reporter, type ReporterOptions } from '../../src/reports/reporter.js';
import { putAccount } from '../../src/services/put-account.js';
import { putTenant } from '../../src/services/put-tenant.js';
import type { ClaimResult, Settlement } from '../../src/store/claim-types.js';
import { tenantScope } from '../../src/store/scope.js';
import { until } from './processes.js';
import { openTestStore, type TestStore } from './store.js';
import { newMessage } from './temp-store.js';

/** A reporter over a real store with the tenants `acme` and `globex`; its clock stands still unless a test moves it. */
export interface TestReports extends TestStore {
  reporter: Reporter;
  raw: Database.Database;
  /** Every line of the log, with its level. */
  log: string[];
  /** Changes a tenant. */
  tenant(id: string, input: TenantInput): Promise<void>;
  account(tenantId: string, input?: AccountInput): Promise<number>;
  enqueue(tenantId: string, ...ids: string[]): Promise<void>;
  claim(tenantId: string): Promise<ClaimResult>;
  /** Queues a message, claims it and ends the claim. */
  settle(tenantId: string, id: string, next?: Settlement['next'], state?: 'sent' | 'pending'): Promise<void>;
  /** Another reporter over the same store, as after a restart. */
  restart(changes?: Partial<ReporterOptions>): Promise<Reporter>;
  /** How many reports wait. */
  waiting(): number;
  /** Resolves when so many wait, and every answer was written down. */
  untilWaiting(count: number): Promise<void>;
  /** Resolves when no call is being made, and what the last one came to is known. */
  quiet(): Promise<void>;
  /** Moves the clock and wakes the reporter. */
  pass(millis: number): void;
}

/**
 * Opens a {@link TestReports}; its reporter is not started. `close` stops it.
 *
 * @param allowPrivate - What on private networks tenants may reach.
 */
export async function openTestReports(
  changes: Partial<ReporterOptions> = {},
  allowPrivate = '127.0.0.0/8',
): Promise<TestReports> {
  const opened = await openTestStore();
  const { store, clock, context } = opened;
  for (const id of ['acme', 'globex']) await opened.addTenant(id, `${id}-token`);
  const log: string[] = [];
  const at = (level: string) => (message: string) => void log.push(`${level}: ${message}`);
  let inFlight = 0;
  const counted =
    (post: PostReport): PostReport =>
    async (call, signal) => {
      inFlight++;
      try {
        return await post(call, signal);
      } finally {
        // After whoever waits for it.
        setImmediate(() => inFlight--);
      }
    };
  const make = (more: Partial<ReporterOptions> = {}): Reporter =>
    new Reporter({
      store,
      keyring: () => opened.keyring,
      reloadKeys: async () => undefined,
      global: undefined,
      now: () => clock.now,
      random: () => 0.5,
      log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      ...changes,
      ...more,
      post: counted(changes.post ?? createPostReport(createDestinationGuard(parseAllowance(allowPrivate)))),
    });
  const raw = new Database(store.path, { timeout: 1000 });
  const lanes = new Map<string, number>();
  const test: TestReports = {
    ...opened,
    reporter: make(),
    raw,
    log,
    async tenant(id, input) {
      await putTenant(context, id, input, { token: undefined, expiresAt: undefined }, 'update');
      test.reporter.wake();
    },
    async account(tenantId, input = {}) {
      const { pk } = await putAccount(
        context,
        tenantId,
        'smtp1',
        { host: 'smtp.example.com', ...input },
        'replace',
      );
      lanes.set(tenantId, pk);
      return pk;
    },
    async enqueue(tenantId, ...ids) {
      const expiresAt = clock.now + 48 * 3_600_000;
      await store.queue.enqueue(
        tenantScope(tenantId),
        ids.map((id) => newMessage(id, { expiresAt })),
        clock.now,
      );
    },
    async claim(tenantId) {
      const lane = { tenantId, accountPk: lanes.get(tenantId) ?? (await test.account(tenantId)) };
      return store.claims.claimDue(lane, { limit: 1000, owner: 'test', now: clock.now, leaseMs: 60_000 });
    },
    async settle(tenantId, id, next = { kind: 'final' }, state = next.kind === 'final' ? 'sent' : 'pending') {
      if (!lanes.has(tenantId)) await test.account(tenantId);
      await test.enqueue(tenantId, id);
      for (const { pk, claim } of (await test.claim(tenantId)).claims) {
        const recipients = [{ position: 0, state, code: 250, reply: 'said' }];
        await store.claims.settle({ pk, claim, recipients, next }, clock.now);
      }
    },
    async restart(more) {
      await test.reporter.stop(0);
      test.reporter = make(more);
      await test.reporter.start();
      return test.reporter;
    },
    waiting: () => (raw.prepare('SELECT COUNT(*) AS n FROM reports').get() as { n: number }).n,
    untilWaiting: (count) => until(() => test.waiting() === count, `${count} report(s) wait`),
    async quiet() {
      // A call that is due begins before this turn of the event loop ends.
      await new Promise((resolve) => setImmediate(resolve));
      await until(() => inFlight === 0, 'no call is being made');
      // A write of its own, behind that of the last answer.
      await store.settings.tell('daemon_key_ids', '[]');
      await new Promise((resolve) => setImmediate(resolve));
    },
    pass(millis) {
      clock.now += millis;
      test.reporter.wake();
    },
    async close() {
      await test.reporter.stop(0);
      raw.close();
      await opened.close();
    },
  };
  return test;
}

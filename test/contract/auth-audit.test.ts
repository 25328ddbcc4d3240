import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AuditRecord } from '../../src/core/audit.js';
import { AuthAudit } from '../../src/services/auth-audit.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { openStore } from '../../src/store/store.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';

const closing = useCleanup();
let opened: TestStore;
let audit: AuthAudit;
let errors: string[];
beforeEach(async () => {
  // The minute is the only clock that is not real here.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  opened = closing(await openTestStore(), (it) => it.close());
  errors = [];
  audit = start();
});
afterEach(() => vi.useRealTimers());

const start = (store = opened.store) =>
  new AuthAudit({
    onWritten: () => undefined,
    store,
    now: () => opened.clock.now,
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: () => undefined,
      error: (message) => void errors.push(message),
    },
  });
const minute = () => vi.advanceTimersByTime(60_000);
const fail = (address: string, times: number) => {
  for (let n = 0; n < times; n++) audit.failed(address);
};
async function written(): Promise<AuditRecord[]> {
  await audit.close();
  return (await opened.store.audit.read(0, 10_000)).filter(({ event }) => event.startsWith('auth.'));
}
const short = ({ event, address, detail }: AuditRecord) => [
  event,
  address,
  (JSON.parse(detail) as { count?: number }).count,
];

test('a thousand failures of one address in a minute are ten rows and one sum', async () => {
  fail('192.0.2.1', 1000);
  expect((await written()).map(short)).toEqual([
    ...Array(10).fill(['auth.failed', '192.0.2.1', undefined]),
    ['auth.failed.summary', '192.0.2.1', 990],
  ]);
  expect(await verifyAudit(opened.store, opened.keyring)).toMatchObject({ ok: true });
});

test('each minute begins anew', async () => {
  fail('192.0.2.1', 15);
  minute();
  fail('192.0.2.1', 12);
  minute();
  minute();
  const rows = (await written()).map(short);
  expect(rows).toHaveLength(22);
  expect(rows.filter(([event]) => event === 'auth.failed.summary').map(([, , count]) => count)).toEqual([
    5, 2,
  ]);
});

test('ten failures have no sum', async () => {
  fail('192.0.2.1', 10);
  expect(await written()).toHaveLength(10);
});

test('ten thousand addresses write a bounded number of rows, and each failure is counted', async () => {
  for (let n = 0; n < 10_000; n++) fail(`10.0.${n >> 8}.${n & 255}`, 3);
  const rows = (await written()).map(short);
  expect(rows.length).toBeLessThanOrEqual(201 * 11);
  const counted = rows.reduce((sum, [, , count]) => sum + (typeof count === 'number' ? count : 1), 0);
  expect(counted).toBe(30_000);
  expect(rows.filter(([, address]) => address === 'others').length).toBeLessThanOrEqual(11);
});

test('successes are one row for each token and minute', async () => {
  const admin = { kind: 'admin-token', address: '192.0.2.1' } as const;
  const tenant = { kind: 'tenant-token', tenantId: 'acme', tokenName: 'ci', address: '192.0.2.2' } as const;
  for (let n = 0; n < 500; n++) {
    audit.succeeded(admin, 'admin', undefined);
    audit.succeeded(tenant, 'acme/ci', 1);
  }
  minute();
  audit.succeeded(admin, 'admin', undefined);
  const rows = await written();
  expect(rows.map(({ actor, tenantId }) => [actor, tenantId])).toEqual([
    ['admin', null],
    ['tenant:acme/ci', 'acme'],
    ['admin', null],
  ]);
  expect(rows.map(short).map(([, , count]) => count)).toEqual([500, 500, 1]);
});

test('a trail that cannot be written is told in the log and never fails a request', async () => {
  const locked = closing(await openStore(opened.path), (it) => it.close());
  audit = start(locked);
  fail('192.0.2.1', 3);
  expect(await written()).toEqual([]);
  expect(errors.length).toBeGreaterThan(0);
});

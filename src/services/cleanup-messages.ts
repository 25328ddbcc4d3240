import type { Millis } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';
import { getTenant } from './tenants.js';

/** Share of the time that a long removal leaves to everybody else. */
const REST_FACTOR = 1;

/**
 * Removes a tenant's messages that have been final for longer than a time, in short transactions with pauses between them.
 *
 * @param olderThan - Milliseconds.
 * @returns How many were removed.
 * @throws MailProxyError `tenant_not_found`.
 */
export async function cleanupMessages(
  context: Pick<ServiceContext, 'store' | 'now'>,
  tenantId: string,
  olderThan: Millis,
): Promise<number> {
  const { store, now } = context;
  await getTenant(context, tenantId);
  const scope = tenantScope(tenantId);
  const before = now() - olderThan;
  let total = 0;
  let after: number | undefined = 0;
  while (after !== undefined) {
    const begun = performance.now();
    const { removed, next } = await store.cleanup.removeOlder(scope, before, after);
    total += removed;
    after = next;
    if (next !== undefined) await pause(REST_FACTOR * (performance.now() - begun));
  }
  return total;
}

const pause = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis));

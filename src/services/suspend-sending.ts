import { MailProxyError } from '../core/errors.js';
import { requirePrintable } from '../core/printable.js';
import { type SuspensionWire, suspensionToWire } from '../core/wire.js';
import { tenantScope } from '../store/scope.js';
import { changeBy, type ServiceContext } from './context.js';
import { pendingMessages } from './status.js';

type Context = Pick<ServiceContext, 'store' | 'actor' | 'now'>;

/**
 * Stops the sending of a tenant, or of one batch of it, at once: also what is claimed already, unless its body is being
 * handed over. Messages are still accepted.
 *
 * @throws MailProxyError `tenant_not_found`, `validation_failed`.
 */
export async function suspendSending(
  context: Context,
  tenantId: string,
  batchCode: string | undefined,
): Promise<SuspensionWire> {
  requirePrintable('batch code', batchCode);
  if (batchCode === '*') {
    throw new MailProxyError(
      'validation_failed',
      'A batch called "*" could not be told from the whole tenant in the list of what is suspended: leave the batch out to suspend all.',
    );
  }
  await context.store.suspensions.suspend(tenantScope(tenantId), batchCode, changeBy(context));
  return await suspensionOf(context, tenantId, batchCode);
}

/** What is activated: a batch, or everything, or with `keepBatches` all but the batches that are suspended by themselves. */
export interface ActivationRequest {
  batchCode?: string | undefined;
  keepBatches?: boolean | undefined;
}

/**
 * Lets a suspended tenant or batch be sent again.
 *
 * @throws MailProxyError `tenant_not_found`; `validation_failed`; `tenant_suspended` for a batch of a tenant that is
 * suspended as a whole.
 */
export async function activateSending(
  context: Context,
  tenantId: string,
  { batchCode, keepBatches = false }: ActivationRequest,
): Promise<SuspensionWire & { activated_batches: string[] }> {
  requirePrintable('batch code', batchCode);
  if (batchCode !== undefined && keepBatches) {
    throw new MailProxyError(
      'validation_failed',
      'One batch cannot be activated and all batches kept: leave one of the two out.',
    );
  }
  const activated = await context.store.suspensions.activate(
    tenantScope(tenantId),
    batchCode === undefined ? { keepBatches } : { batchCode },
    changeBy(context),
  );
  return { ...(await suspensionOf(context, tenantId, batchCode)), activated_batches: activated };
}

async function suspensionOf(
  context: Context,
  tenantId: string,
  batchCode: string | undefined,
): Promise<SuspensionWire> {
  const scope = tenantScope(tenantId);
  const suspensions = await context.store.suspensions.list(scope);
  const pending =
    batchCode === undefined
      ? await pendingMessages(context, tenantId)
      : await context.store.messages.countUnsentOfBatch(scope, batchCode);
  return suspensionToWire(tenantId, batchCode, suspensions, pending);
}

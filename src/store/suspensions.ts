import { MailProxyError } from '../core/errors.js';
import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import { createTakeBack } from './take-back.js';
import type { Writer } from './writer.js';

/** What of a tenant is not sent until it is activated. */
export interface Suspensions {
  /** Whether all of it is suspended, whatever its batch. */
  wholeTenant: boolean;
  /** Batches that are suspended by themselves, in order of code. */
  batches: string[];
}

/** What is activated: one batch, all that is suspended, or the tenant without its batches. */
export type Activation = { batchCode: string } | { keepBatches: boolean };

/** Suspending and activating, effective with the commit: who claims and who hands over look here. */
export interface SuspensionStore {
  /**
   * Suspends one batch, or with `batchCode` undefined the whole tenant.
   *
   * @returns False when it was suspended already.
   * @throws MailProxyError `tenant_not_found`; `validation_failed` when too many batches are suspended.
   */
  suspend(scope: TenantScope, batchCode: string | undefined, by: Change): Promise<boolean>;
  /**
   * Activates again; parked messages are freed in steps afterwards.
   *
   * @returns Codes of the batches that were suspended by themselves and are no longer.
   * @throws MailProxyError `tenant_not_found`; `tenant_suspended` for a batch of a tenant that is suspended as a whole.
   */
  activate(scope: TenantScope, what: Activation, by: Change): Promise<string[]>;
  list(scope: TenantScope): Promise<Suspensions>;
}

/** Stands for the whole tenant; no batch has an empty code. */
const WHOLE_TENANT = '';
/** Every suspended batch is looked through when a tenant's messages are listed and claimed. */
const MOST_BATCHES = 1000;

/** Suspensions over one connection. */
export function createSuspensionStore(sql: Sql, writer: Writer, append: AppendAudit): SuspensionStore {
  const takeBack = createTakeBack(sql);
  const requireTenant = (tenantId: string): void => {
    if (sql('SELECT 1 FROM tenants WHERE id = ?').get(tenantId) !== undefined) return;
    throw new MailProxyError('tenant_not_found', `There is no tenant "${tenantId}": see "tenants list".`);
  };

  const list = (tenantId: string): Suspensions => {
    const codes = sql(
      'SELECT batch_code FROM suspensions WHERE tenant_id = ? AND released_at IS NULL ORDER BY batch_code',
    )
      .all(tenantId)
      .map((row) => row.batch_code as string);
    return {
      wholeTenant: codes[0] === WHOLE_TENANT,
      batches: codes.filter((code) => code !== WHOLE_TENANT),
    };
  };

  const suspend = (tenantId: string, code: string, { actor, now }: Change): boolean => {
    requireTenant(tenantId);
    const { wholeTenant, batches } = list(tenantId);
    if (code === WHOLE_TENANT ? wholeTenant : batches.includes(code)) return false;
    if (code !== WHOLE_TENANT && batches.length >= MOST_BATCHES) {
      throw new MailProxyError(
        'validation_failed',
        `A tenant can have at most ${MOST_BATCHES} suspended batches: activate some, or suspend the whole tenant.`,
      );
    }
    sql(
      `INSERT INTO suspensions VALUES (?, ?, ?, NULL)
         ON CONFLICT DO UPDATE SET suspended_at = excluded.suspended_at, released_at = NULL`,
    ).run(tenantId, code, now);
    takeBack(tenantId, code === WHOLE_TENANT ? undefined : code, now);
    append({ event: 'sending.suspended', actor, tenantId, subject: code || null, detail: {} }, now);
    return true;
  };

  const activateTenant = (tenantId: string, keepBatches: boolean, { actor, now }: Change): string[] => {
    const before = list(tenantId);
    const batches = keepBatches ? [] : before.batches;
    // Nothing is parked for the tenant as a whole, so that nothing is left to be freed.
    sql("DELETE FROM suspensions WHERE tenant_id = ? AND batch_code = ''").run(tenantId);
    for (const code of batches) release(tenantId, code, now);
    if (before.wholeTenant || batches.length > 0) {
      append({ event: 'sending.activated', actor, tenantId, subject: null, detail: { batches } }, now);
    }
    return batches;
  };

  const activateBatch = (tenantId: string, code: string, { actor, now }: Change): string[] => {
    const { wholeTenant, batches } = list(tenantId);
    if (wholeTenant) {
      throw new MailProxyError(
        'tenant_suspended',
        'The whole tenant is suspended, so that activating one batch would send nothing: activate the tenant first.',
      );
    }
    if (!batches.includes(code)) return [];
    release(tenantId, code, now);
    append({ event: 'sending.activated', actor, tenantId, subject: code, detail: {} }, now);
    return [code];
  };

  const release = (tenantId: string, code: string, now: number): void => {
    sql('UPDATE suspensions SET released_at = ? WHERE tenant_id = ? AND batch_code = ?').run(
      now,
      tenantId,
      code,
    );
  };

  return {
    suspend: ({ tenantId }, batchCode, by) =>
      writer.run(() => suspend(tenantId, batchCode ?? WHOLE_TENANT, by)),
    activate: ({ tenantId }, what, by) =>
      writer.run(() => {
        requireTenant(tenantId);
        return 'batchCode' in what
          ? activateBatch(tenantId, what.batchCode, by)
          : activateTenant(tenantId, what.keepBatches, by);
      }),
    async list({ tenantId }) {
      return list(tenantId);
    },
  };
}

import { callDelay } from '../core/backoff.js';
import { MailProxyError } from '../core/errors.js';
import type { Log } from '../core/log.js';
import { type Report, reportToWire } from '../core/report.js';
import { parseSyncAnswer, type SyncAnswer } from '../core/schemas/sync-answer.js';
import type { SyncEndpoint } from '../core/sync-endpoint.js';
import {
  afterAnswer,
  afterFailure,
  freshMemory,
  mostReports,
  nextCallAt,
  type SyncMemory,
} from '../core/sync-plan.js';
import type { Millis, RandomSource } from '../core/types.js';
import type { Keyring } from '../crypto/keyring.js';
import { type TenantScope, tenantScope } from '../store/scope.js';
import type { Store } from '../store/store.js';
import type { StoredTenant } from '../store/tenants.js';
import { CallFailed } from './call-failed.js';
import { isCalled, type ReportTarget, reportTarget } from './endpoint.js';
import type { PostReport } from './post.js';
import { signatureHeaders } from './signature.js';
import { SyncLog } from './sync-log.js';
import { withDeadline } from './with-deadline.js';

/** What the calls to a tenant are made with. */
export interface TenantSyncOptions {
  store: Pick<Store, 'reports' | 'tenants'>;
  keyring(): Keyring;
  /** Reads the sources of keys again: one may have been added since. */
  reloadKeys(): Promise<void>;
  post: PostReport;
  /** For tenants without an endpoint of their own that may use it. */
  global: SyncEndpoint | undefined;
  /** Unix milliseconds. */
  now(): Millis;
  random: RandomSource;
  log: Log;
  /** How long a call may take. @defaultValue 30 seconds */
  callTimeout?: Millis;
}

const CALL_TIMEOUT_MS = 30_000;

/** The calls to one tenant: what is due is sent, and what the answer says is written down. One call is made at a time. */
export class TenantSync {
  readonly #options: TenantSyncOptions;
  readonly #tenantId: string;
  readonly #scope: TenantScope;
  readonly #log: SyncLog;
  #memory: SyncMemory | undefined;
  /** The tenant as it was when it was called last: what was waited out for another endpoint is waited out no more. */
  #changedAt: Millis | undefined;

  constructor(tenantId: string, options: TenantSyncOptions) {
    this.#options = options;
    this.#tenantId = tenantId;
    this.#scope = tenantScope(tenantId);
    this.#log = new SyncLog(tenantId, options.log);
  }

  /**
   * Makes a call when one is due.
   *
   * @param isForced - Whether to call now whatever is waited for.
   * @returns When to look again; undefined when the tenant is not called any more.
   */
  async turn(isForced: boolean, stop: AbortSignal): Promise<Millis | undefined> {
    const { store, global, now } = this.#options;
    const tenant = await store.tenants.get(this.#scope);
    if (tenant === undefined || !isCalled(tenant, global)) return undefined;
    const memory = await this.#remember(tenant);
    const startedAt = now();
    const at = nextCallAt(memory, await store.reports.nextDueAt(this.#scope));
    if (at > startedAt && !isForced) return at;
    const by = isForced ? Number.MAX_SAFE_INTEGER : startedAt;
    const reports = await store.reports.due(this.#scope, by, mostReports(memory.failures));
    try {
      const answer = await this.#call(tenant, reports, stop);
      await this.#settle(reports, answer, startedAt);
      this.#log.works();
    } catch (error) {
      if (stop.aborted) return undefined;
      this.#memory = afterFailure(memory, now(), this.#options.random);
      this.#log.failed(error);
    }
    return now();
  }

  async #remember({ updatedAt }: StoredTenant): Promise<SyncMemory> {
    const { store } = this.#options;
    this.#memory ??= freshMemory(await store.reports.syncState(this.#scope));
    if (this.#changedAt !== updatedAt) this.#memory = freshMemory(this.#memory);
    this.#changedAt = updatedAt;
    return this.#memory;
  }

  async #call(tenant: StoredTenant, reports: readonly Report[], stop: AbortSignal): Promise<SyncAnswer> {
    const target = await this.#target(tenant);
    const body = JSON.stringify({
      delivery_report: reports.map((report) => reportToWire(this.#tenantId, report)),
    });
    const { post, now, callTimeout = CALL_TIMEOUT_MS } = this.#options;
    const secret = target.webhookSecret;
    const headers = secret === undefined ? {} : signatureHeaders(secret, body, reports.length > 0, now());
    const said = await withDeadline(stop, callTimeout, (signal) => post({ target, body, headers }, signal));
    const answer = parseSyncAnswer(said);
    if (answer === undefined)
      throw new CallFailed('the answer does not say "ok": true, or cannot be understood');
    return answer;
  }

  async #target(tenant: StoredTenant): Promise<ReportTarget> {
    const { global, keyring, reloadKeys } = this.#options;
    try {
      return reportTarget(tenant, global, keyring()) as ReportTarget;
    } catch (error) {
      if (!(error instanceof MailProxyError) || error.code !== 'key_missing') throw error;
      await reloadKeys();
      return reportTarget(tenant, global, keyring()) as ReportTarget;
    }
  }

  async #settle(reports: readonly Report[], answer: SyncAnswer, startedAt: Millis): Promise<void> {
    const { store, now, random } = this.#options;
    const endedAt = now();
    const next = afterAnswer({ startedAt, endedAt, reports: reports.length }, answer);
    const isRefused = ({ id }: Report): boolean => answer.error.has(id);
    const attempts = new Map<number, number>();
    for (const { messagePk, attempts: made } of reports.filter(isRefused)) {
      attempts.set(messagePk, Math.max(made, attempts.get(messagePk) ?? 0));
    }
    await store.reports.settle(
      this.#scope,
      {
        acknowledged: reports.filter((report) => !isRefused(report)),
        postponed: [...attempts].map(([messagePk, made]) => ({
          messagePk,
          dueAt: endedAt + callDelay(made + 1, random),
        })),
        lastSyncAt: next.lastSyncAt,
        quietUntil: next.quietUntil,
      },
      endedAt,
    );
    this.#memory = next;
    this.#log.said(
      'could not take',
      reports.filter(isRefused).map(({ id }) => id),
    );
    this.#log.said('does not know', answer.notFound);
  }
}

import { MailProxyError } from '../core/errors.js';
import type { Millis } from '../core/types.js';
import type { Store } from '../store/store.js';
import { TenantLoop } from './tenant-loop.js';
import { TenantSync, type TenantSyncOptions } from './tenant-sync.js';

/** What a reporter works with. */
export interface ReporterOptions extends TenantSyncOptions {
  store: Pick<Store, 'reports' | 'tenants' | 'settings'>;
}

const AFTER_ERROR_MS = 5000;

/**
 * Tells tenants what became of their messages. It calls a tenant when something was reported, when its time has come, or when it is
 * told to; each tenant has a loop of its own, so that none waits for another's endpoint.
 */
export class Reporter {
  readonly #options: ReporterOptions;
  readonly #loops = new Map<string, TenantLoop>();
  readonly #stop = new AbortController();
  #generation: number | undefined;
  /** When each tenant that is called was changed last. */
  #changedAt: ReadonlyMap<string, Millis> = new Map();
  #isStarted = false;
  #isReading = false;
  #isStale = false;

  constructor(options: ReporterOptions) {
    this.#options = options;
  }

  /** Begins to call. */
  async start(): Promise<void> {
    this.#isStarted = true;
    this.#options.store.reports.onQueued((tenantId) => this.#loop(tenantId)?.wake());
    await this.#readTenants();
  }

  /** Settings may have changed, or another process have reported something. Cheap; may be called as often as one likes. */
  wake(): void {
    if (!this.#isStarted) return;
    void this.#readTenants();
    for (const loop of this.#loops.values()) loop.wakeIfDue();
  }

  /** Calls now whatever is waited for: one tenant, or all. */
  runNow(tenantId?: string): void {
    if (!this.#isStarted) return;
    const loops = tenantId === undefined ? [...this.#loops.values()] : [this.#loop(tenantId)];
    for (const loop of loops) loop?.force();
  }

  /**
   * Calls no more; calls that are being made may end.
   *
   * @param graceMs - After this long they are cut off; what they carried is sent again at the next start.
   */
  async stop(graceMs: Millis): Promise<void> {
    this.#isStarted = false;
    const ended = [...this.#loops.values()].map((loop) => loop.stop());
    const deadline = setTimeout(() => this.#stop.abort(), graceMs);
    await Promise.all(ended);
    clearTimeout(deadline);
  }

  #loop(tenantId: string): TenantLoop | undefined {
    if (!this.#isStarted) return undefined;
    let loop = this.#loops.get(tenantId);
    if (loop === undefined) {
      const sync = new TenantSync(tenantId, this.#options);
      const { now, log } = this.#options;
      loop = new TenantLoop({
        turn: (isForced) => sync.turn(isForced, this.#stop.signal),
        now,
        onError: (error) => log.error(`Reports of tenant '${tenantId}' cannot be read`, { err: error }),
        onEnd: () => this.#loops.delete(tenantId),
      });
      this.#loops.set(tenantId, loop);
    }
    return loop;
  }

  /** Wakes tenants that were changed, and those that have something to be told. A loop ends by itself. */
  async #readTenants(): Promise<void> {
    this.#isStale = true;
    if (this.#isReading) return;
    this.#isReading = true;
    const { store, log } = this.#options;
    try {
      while (this.#isStale) {
        this.#isStale = false;
        const generation = await store.settings.generation();
        if (generation !== this.#generation) await this.#wakeChanged();
        this.#generation = generation;
        for (const tenantId of await store.reports.listAllToTell()) this.#loop(tenantId)?.wake();
      }
    } catch (error) {
      log.error(error instanceof MailProxyError ? error.message : 'The tenants could not be read', {
        err: error,
      });
      setTimeout(() => this.wake(), AFTER_ERROR_MS).unref();
    } finally {
      this.#isReading = false;
    }
  }
  async #wakeChanged(): Promise<void> {
    const before = this.#changedAt;
    this.#changedAt = new Map(
      (await this.#options.store.reports.listAllToCall()).map(({ id, updatedAt }) => [id, updatedAt]),
    );
    for (const [id, updatedAt] of this.#changedAt) {
      if (before.get(id) !== updatedAt) this.#loop(id)?.wake();
    }
  }
}

import { auditSentence } from '../core/audit.js';
import type { Log } from '../core/log.js';
import type { Store } from '../store/store.js';

const STEP = 200;

/**
 * Tells the log what is written to the audit trail, by whatever process, and where its chain stands: a head that was shipped
 * away with the log proves later that the trail was not cut. Logins are told by the API itself, at once.
 */
export class AuditLog {
  readonly #store: Store;
  readonly #log: Log;
  #told: number;
  #busy: Promise<void> | undefined;
  #again = false;

  private constructor(store: Store, log: Log, told: number) {
    this.#store = store;
    this.#log = log;
    this.#told = told;
  }

  /** Begins after what is in the trail now, and tells its head. */
  static async open(store: Store, log: Log): Promise<AuditLog> {
    const head = await store.audit.head();
    if (head !== undefined) log.info(`Audit head ${head.seq}:${head.hash}`);
    return new AuditLog(store, log, head?.seq ?? 0);
  }

  /** There may be something new. */
  tell(): void {
    if (this.#busy !== undefined) {
      this.#again = true;
      return;
    }
    this.#busy = this.#tellNew()
      .catch((error: unknown) => this.#log.error('The audit trail cannot be read', { err: error }))
      .finally(() => {
        this.#busy = undefined;
        if (!this.#again) return;
        this.#again = false;
        this.tell();
      });
  }

  async #tellNew(): Promise<void> {
    for (;;) {
      const records = await this.#store.audit.read(this.#told, STEP);
      const last = records.at(-1);
      if (last === undefined) return;
      for (const record of records) {
        const { seq, event, actor, address, tenantId, subject } = record;
        if (event.startsWith('auth.')) continue;
        const level = event === 'account.held' || event === 'audit.started' ? 'warn' : 'info';
        const from = address === null ? {} : { address };
        this.#log[level](auditSentence(record), { event, actor, ...from, tenantId, subject, seq });
      }
      this.#told = last.seq;
      this.#log.info(`Audit head ${last.seq}:${last.hash}`);
    }
  }
}

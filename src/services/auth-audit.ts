import type { AuditEvent } from '../core/audit.js';
import { clientOf } from '../core/failure-throttle.js';
import type { Log } from '../core/log.js';
import type { Actor, Millis } from '../core/types.js';
import type { Store } from '../store/store.js';

const MINUTE: Millis = 60_000;
/** Failures of one address in one minute that are written one by one; the others as a sum. */
const FAILURES_ONE_BY_ONE = 10;
/** Addresses that are told apart in one minute; beyond, one sum stands for all, so that no flood fills memory or disk. */
const MOST_ADDRESSES = 200;
const OTHERS = 'others';

interface Successes {
  actor: Actor;
  tenantId: string | null;
  count: number;
}

/**
 * Writes logins to the audit trail in bounded amounts: failed ones each for the first ten of an address and minute, then as a
 * sum; successful ones as a sum per token and minute.
 */
export class AuthAudit {
  readonly #store: Store;
  readonly #now: () => Millis;
  readonly #log: Log;
  /** Called after something was added to the trail. */
  readonly #onWritten: () => void;
  readonly #timer: NodeJS.Timeout;
  #failures = new Map<string, number>();
  #successes = new Map<string, Successes>();
  #usedTokens = new Set<number>();
  #waiting: AuditEvent[] = [];
  #flushing: Promise<void> = Promise.resolve();

  constructor(options: { store: Store; now: () => Millis; log: Log; onWritten: () => void }) {
    this.#store = options.store;
    this.#now = options.now;
    this.#log = options.log;
    this.#onWritten = options.onWritten;
    this.#timer = setInterval(() => this.#closeMinute(), MINUTE).unref();
  }

  /** A request came with no token or one that opens nothing. */
  failed(address: string): void {
    const client = clientOf(address);
    const known = this.#failures.has(client) || this.#failures.size < MOST_ADDRESSES;
    const key = known ? client : OTHERS;
    const count = (this.#failures.get(key) ?? 0) + 1;
    this.#failures.set(key, count);
    if (count > FAILURES_ONE_BY_ONE) return;
    this.#waiting.push({
      event: 'auth.failed',
      actor: anonymous(key),
      tenantId: null,
      subject: null,
      detail: {},
    });
    this.#flush();
  }

  /** A request came with a valid token. `tokenPk` is a tenant token's own key. */
  succeeded(actor: Actor, tokenId: string, tokenPk: number | undefined): void {
    const tenantId = actor.kind === 'tenant-token' ? actor.tenantId : null;
    const so = this.#successes.get(tokenId) ?? { actor, tenantId, count: 0 };
    so.count++;
    this.#successes.set(tokenId, so);
    if (tokenPk === undefined || this.#usedTokens.has(tokenPk)) return;
    this.#usedTokens.add(tokenPk);
    this.#write(() => this.#store.tokens.touch([tokenPk], this.#now()));
  }

  /** Writes what is still counted. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closeMinute();
    await this.#flushing;
  }

  #closeMinute(): void {
    for (const [address, count] of this.#failures) {
      const more = count - FAILURES_ONE_BY_ONE;
      if (more <= 0) continue;
      this.#waiting.push({
        event: 'auth.failed.summary',
        actor: anonymous(address),
        tenantId: null,
        subject: null,
        detail: { count: more },
      });
    }
    for (const { actor, tenantId, count } of this.#successes.values()) {
      this.#waiting.push({
        event: 'auth.succeeded.summary',
        actor,
        tenantId,
        subject: null,
        detail: { count },
      });
    }
    this.#failures = new Map();
    this.#successes = new Map();
    this.#usedTokens = new Set();
    this.#flush();
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const events = this.#waiting;
    this.#waiting = [];
    this.#write(async () => {
      await this.#store.audit.append(events, this.#now());
      this.#onWritten();
    });
  }

  /** One after the other, and never in the way of a request. */
  #write(work: () => Promise<void>): void {
    this.#flushing = this.#flushing
      .then(work)
      .catch((error: unknown) =>
        this.#log.error('Logins could not be written to the audit trail', { err: error }),
      );
  }
}

function anonymous(address: string): Actor {
  return { kind: 'anonymous', address };
}

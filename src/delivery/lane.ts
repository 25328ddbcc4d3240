import { breakerDelay } from '../core/backoff.js';
import type { Account, Millis, RandomSource } from '../core/types.js';
import type { SessionPool } from './session-pool.js';

/**
 * What a daemon knows of one account while it runs: its connections, what is being sent, and why nothing is. A lane
 * that is limited, down or held costs the others nothing.
 */
export class Lane {
  readonly accountPk: number;
  readonly tenantId: string;
  /** Name and address of the account, for logs and people. */
  account: Pick<Account, 'id' | 'host' | 'port' | 'tls' | 'tlsVerify' | 'verifiedTlsAt'> = {
    id: '',
    host: '',
    port: 0,
    tls: 'none',
    tlsVerify: true,
    verifiedTlsAt: null,
  };
  /** Version that `pool` was made for. */
  credentialVersion = 0;
  /** Where the connections of `pool` go, and the sealed password that they were opened with. */
  endpoint = '';
  sealed: string | null = null;
  /** Connections that `pool` may have. */
  maxConnections = 1;
  /** Messages between claim and settled result; never more than `maxConnections`. */
  inFlight = 0;
  limitedUntil: Millis = 0;
  /** Set while the password does not open; holds until the account or the keys change. */
  held: string | undefined;
  #pool: SessionPool | undefined;
  readonly #draining = new Map<SessionPool, Promise<unknown>>();
  #failures = 0;
  #openUntil: Millis = 0;

  constructor(accountPk: number, tenantId: string) {
    this.accountPk = accountPk;
    this.tenantId = tenantId;
  }

  /** Connections of the present credential version; undefined until the first message. */
  get pool(): SessionPool | undefined {
    return this.#pool;
  }

  /** Puts new connections in the place of the old ones, which end as soon as what they carry is sent. */
  replacePool(next: SessionPool | undefined): void {
    const old = this.#pool;
    this.#pool = next;
    if (old === undefined) return;
    const gone = old.drain().finally(() => this.#draining.delete(old));
    this.#draining.set(old, gone);
  }

  /** Ends all connections as soon as what they carry is sent. */
  async close(): Promise<void> {
    this.replacePool(undefined);
    await Promise.allSettled(this.#draining.values());
  }

  /** Every set of connections that is not gone yet, old ones too. */
  get pools(): SessionPool[] {
    return [...this.#draining.keys(), ...(this.#pool === undefined ? [] : [this.#pool])];
  }

  /** How many messages may be claimed now. After trouble one probes before the others follow. */
  capacity(now: Millis): number {
    if (now < this.limitedUntil || now < this.#openUntil) return 0;
    const most = this.#failures > 0 ? 1 : this.maxConnections;
    return Math.max(0, most - this.inFlight);
  }

  /** When a lane that stands still may go on; undefined when it may now. */
  resumesAt(now: Millis): Millis | undefined {
    const at = Math.max(this.limitedUntil, this.#openUntil);
    return at > now ? at : undefined;
  }

  /**
   * The account could not be used at all. Connections that fail together count as one failure.
   *
   * @returns Whether the breaker opened just now.
   */
  trouble(now: Millis, random: RandomSource): boolean {
    if (now < this.#openUntil) return false;
    this.#failures++;
    this.#openUntil = now + breakerDelay(this.#failures, random);
    return true;
  }

  /** The server took a message's envelope: whatever it said of it, the account works. */
  works(): boolean {
    const recovered = this.#failures > 0;
    this.#failures = 0;
    this.#openUntil = 0;
    return recovered;
  }

  /** Tries again at once: the operator asked for it or the account was changed. */
  probeNow(): void {
    this.#openUntil = 0;
    this.limitedUntil = 0;
  }
}

import { breakerDelay } from '../core/backoff.js';
import type { Account, Millis, RandomSource } from '../core/types.js';
import type { LaneState } from '../store/lane-states.js';
import type { Connections } from './sender.js';

/** A server that takes a message in less than this is kept busy by claiming ahead of its connections. */
const FAST_MS = 50;

/** What a lane is doing: it has nothing to send, sends, waits for a rate limit, for its breaker, or for its password to open. */
export const LANE_STANDINGS = ['idle', 'sending', 'limited', 'open', 'held'] as const;

/** One of {@link LANE_STANDINGS}. */
export type LaneStanding = (typeof LANE_STANDINGS)[number];

/**
 * What a daemon knows of one account while it runs: its connections, what is being sent, and why nothing is. A lane that is limited, down or held costs the others nothing.
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
  /** Whether a rate limit counts its claims: then none is made ahead of a connection. */
  isLimited = true;
  /** Messages on a connection, in line for one, or whose outcome could not be written yet. */
  active = 0;
  limitedUntil: Millis = 0;
  /** Set while the password does not open; holds until the account or the keys change. */
  held: string | undefined;
  #pool: Connections | undefined;
  readonly #draining = new Map<Connections, Promise<unknown>>();
  #failures = 0;
  #openUntil: Millis = 0;
  #reason: string | null = null;
  #pace: Millis = Number.POSITIVE_INFINITY;

  constructor(accountPk: number, tenantId: string) {
    this.accountPk = accountPk;
    this.tenantId = tenantId;
  }

  /** Connections of the present credential version; undefined until the first message. */
  get pool(): Connections | undefined {
    return this.#pool;
  }

  /** Puts new connections in the place of the old ones, which end as soon as what they carry is sent. */
  replacePool(next: Connections | undefined): void {
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
  get pools(): Connections[] {
    return [...this.#draining.keys(), ...(this.#pool === undefined ? [] : [this.#pool])];
  }

  /**
   * How many messages may be claimed now. After trouble one probes before the others follow. A fast server's connections
   * are kept busy by claiming as many again, half of them at a time at least, so that a claim serves several messages.
   */
  capacity(now: Millis): number {
    if (now < this.limitedUntil || now < this.#openUntil) return 0;
    if (this.#failures > 0) return Math.max(0, 1 - this.active);
    const ahead = this.#pace < FAST_MS && !this.isLimited ? this.maxConnections : 0;
    const inLine = this.active - this.maxConnections;
    return inLine * 2 > ahead ? 0 : Math.max(0, ahead - inLine);
  }

  /** When a lane that stands still may go on; undefined when it may now. */
  resumesAt(now: Millis): Millis | undefined {
    const at = Math.max(this.limitedUntil, this.#openUntil);
    return at > now ? at : undefined;
  }

  /** What it is doing. Its breaker counts as open until the account has worked again, also while that is being tried. */
  standing(now: Millis): LaneStanding {
    if (this.held !== undefined) return 'held';
    if (this.#failures > 0) return 'open';
    if (now < this.limitedUntil) return 'limited';
    return this.active > 0 ? 'sending' : 'idle';
  }

  /** What others may know of it. */
  get state(): LaneState {
    return {
      failures: this.#failures,
      openUntil: this.#openUntil,
      reason: this.#reason,
      held: this.held ?? null,
    };
  }

  /**
   * The account could not be used at all. Connections that fail together count as one failure.
   *
   * @returns Whether the breaker opened just now.
   */
  trouble(now: Millis, random: RandomSource, reason: string): boolean {
    if (now < this.#openUntil) return false;
    this.#failures++;
    this.#openUntil = now + breakerDelay(this.#failures, random);
    this.#reason = reason;
    this.#pace = Number.POSITIVE_INFINITY;
    return true;
  }

  /**
   * The server took a message's envelope: whatever it said of it, the account works.
   *
   * @param took - How long the message had a connection, in milliseconds.
   */
  works(took: Millis): boolean {
    this.#pace = Number.isFinite(this.#pace) ? this.#pace * 0.9 + took * 0.1 : took;
    const recovered = this.#failures > 0;
    this.#failures = 0;
    this.#openUntil = 0;
    this.#reason = null;
    return recovered;
  }

  /** Tries again at once: the operator asked for it or the account was changed. */
  probeNow(): void {
    this.#openUntil = 0;
    this.limitedUntil = 0;
  }
}

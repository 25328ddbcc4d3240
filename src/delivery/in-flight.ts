import type { ByteBudget, Claim } from '../store/claim-types.js';

/** Claimed messages that are not settled, of all tenants together. */
const MOST_CLAIMS = 1024;
/** Bytes of content that they may bring into memory: larger messages go fewer at a time. */
const MOST_BYTES = 128 * 1024 * 1024;

/** The messages between claim and written outcome, counted by tenant and in bytes. */
export class InFlight {
  /** With the size of their contents, which are moved to the thread that sends and then empty here. */
  readonly #claims = new Map<Claim, number>();
  readonly #byTenant = new Map<string, number>();
  #bytes = 0;

  /** Claims that may still be made. */
  get free(): number {
    return MOST_CLAIMS - this.#claims.size;
  }

  /** All of them, for their leases. */
  claims(): readonly Claim[] {
    return [...this.#claims.keys()];
  }

  /** How many of one tenant. */
  of(tenantId: string): number {
    return this.#byTenant.get(tenantId) ?? 0;
  }

  /** What the next claims may bring into memory. */
  byteBudget(): ByteBudget {
    return { left: MOST_BYTES - this.#bytes, isWhole: this.#claims.size === 0 };
  }

  add(claims: readonly Claim[]): void {
    for (const claim of claims) {
      this.#claims.set(claim, claim.content.length);
      this.#bytes += claim.content.length;
      this.#byTenant.set(claim.tenantId, this.of(claim.tenantId) + 1);
    }
  }

  remove(claim: Claim): void {
    const bytes = this.#claims.get(claim);
    if (bytes === undefined) return;
    this.#claims.delete(claim);
    this.#bytes -= bytes;
    const left = this.of(claim.tenantId) - 1;
    if (left > 0) this.#byTenant.set(claim.tenantId, left);
    else this.#byTenant.delete(claim.tenantId);
  }
}

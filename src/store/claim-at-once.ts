import type { ClaimOptions, ClaimResult, Lane } from './claim-types.js';
import type { Claiming } from './claiming.js';

/** How to claim for a lane that has a connection to spare. */
interface ClaimWish {
  lane: Lane;
  options: ClaimOptions;
  /**
   * Called with what is being claimed, inside the transaction. What it begins must not let a body out, nor write anything down, before
   * `take`; that is never called when the transaction is undone.
   */
  begin(result: ClaimResult): void;
  /** Called with the same, once it is committed. */
  take(result: ClaimResult): void;
}

/**
 * Somebody who sends: what arrives for a lane is claimed in the transaction that stores it. Undefined when the lane has no room
 * or is not known; asked inside a transaction, so that it must be quick.
 */
export type Claimer = (accountPk: number) => ClaimWish | undefined;

/** The one who claims at once, if anybody does. */
export interface ClaimAtOnce {
  claimer: Claimer | undefined;
  /** Claims for accounts that just got a message, inside the caller's transaction; call what it returns after the commit. */
  claimFor(accountPks: Iterable<number>): () => void;
}

/** More accounts than this in one transaction wait for the next claim: the transaction stays short. */
const MOST_ACCOUNTS = 4;

/** Claiming at once over one connection. */
export function createClaimAtOnce(claiming: Claiming): ClaimAtOnce {
  const self: ClaimAtOnce = {
    claimer: undefined,
    claimFor(accountPks) {
      const { claimer } = self;
      if (claimer === undefined) return () => undefined;
      const claimed: Array<{ wish: ClaimWish; result: ClaimResult }> = [];
      for (const accountPk of [...accountPks].slice(0, MOST_ACCOUNTS)) {
        const wish = claimer(accountPk);
        if (wish === undefined) continue;
        const result = claiming.load(claiming.claim(wish.lane, wish.options), wish.lane);
        wish.begin(result);
        claimed.push({ wish, result });
      }
      return () => {
        for (const { wish, result } of claimed) wish.take(result);
      };
    },
  };
  return self;
}

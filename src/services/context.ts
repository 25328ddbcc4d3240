import type { Actor, Change, SetBy } from '../core/types.js';
import type { Keyring } from '../crypto/keyring.js';
import type { Store } from '../store/store.js';

/** What every use case needs: the store, the keys, who acts, and what time it is. */
export interface ServiceContext {
  store: Store;
  keyring: Keyring;
  actor: Actor;
  /** Unix milliseconds. */
  now(): number;
}

/** The actor and the time of a change made now. */
export function changeBy({ actor, now }: Pick<ServiceContext, 'actor' | 'now'>): Change {
  return { actor, now: now() };
}

/** Who is recorded as having set a destination: the operator unless a tenant's own token acts. */
export function setBy(actor: Actor): SetBy {
  return actor.kind === 'tenant-token' ? 'tenant' : 'operator';
}

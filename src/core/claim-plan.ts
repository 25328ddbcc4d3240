/** What one lane could take now. */
export interface LaneWish<Lane> {
  lane: Lane;
  tenantId: string;
  /** Messages it has room for. */
  want: number;
}

/** How many messages a lane is to claim. */
export interface LaneShare<Lane> {
  lane: Lane;
  limit: number;
}

/** What the shares are cut from. */
export interface ClaimRoom {
  /** Messages that may be claimed now, whoever they belong to. */
  free: number;
  /** Claimed messages of a tenant that are not settled yet. */
  inFlight(tenantId: string): number;
  /** Grows by one from plan to plan, so that none is always served first. */
  turn: number;
}

/**
 * Shares the room for claims between tenants, then between the lanes of each: one message a tenant and round, so that a
 * tenant with a hundred thousand messages, or a hundred lanes, gets no more of what is scarce than one with a single
 * message. A tenant holds at most as many claims as are left free (a dynamic threshold as of shared switch buffers): lanes
 * that hang with all they may have still leave half of the room to the others.
 */
export function planClaims<Lane>(wishes: ReadonlyArray<LaneWish<Lane>>, room: ClaimRoom): LaneShare<Lane>[] {
  const tenants = new Map<
    string,
    { open: Array<LaneShare<Lane> & { want: number }>; held: number; next: number }
  >();
  const shares: Array<LaneShare<Lane> & { want: number }> = [];
  for (const { lane, tenantId, want } of wishes) {
    if (want <= 0) continue;
    const share = { lane, limit: 0, want };
    const tenant = tenants.get(tenantId);
    shares.push(share);
    if (tenant !== undefined) tenant.open.push(share);
    else tenants.set(tenantId, { open: [share], held: room.inFlight(tenantId), next: 0 });
  }
  // A tenant's lanes take turns once all tenants had theirs: turning both at once would always bring the same pairs together.
  for (const tenant of tenants.values()) tenant.next = Math.floor(room.turn / tenants.size);
  let free = room.free;
  let served = rotated([...tenants.values()], room.turn);
  while (free > 0 && served.length > 0) {
    served = served.filter((tenant) => {
      if (free <= 0 || tenant.held >= free) return false;
      const at = tenant.next % tenant.open.length;
      const share = tenant.open[at];
      if (share === undefined) return false;
      share.limit++;
      tenant.held++;
      free--;
      if (share.limit < share.want) tenant.next = at + 1;
      else {
        tenant.open.splice(at, 1);
        tenant.next = at;
      }
      return tenant.open.length > 0;
    });
  }
  return shares.filter(({ limit }) => limit > 0).map(({ lane, limit }) => ({ lane, limit }));
}

function rotated<T>(items: readonly T[], by: number): T[] {
  const first = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

import { LANE_STANDINGS, type LaneStanding } from '../delivery/lane.js';
import type { AccountName } from '../store/figures.js';
import { type Family, gauge, type Sample } from './family.js';

/** What the lane of one account is doing. */
export interface LaneFigure {
  accountPk: number;
  standing: LaneStanding;
}

/** Lanes by what they do, and whose breaker is open; those of accounts that are gone are left out. */
export function laneFamilies(
  lanes: readonly LaneFigure[],
  names: ReadonlyMap<number, AccountName>,
): Family[] {
  const byStanding = new Map<LaneStanding, number>(LANE_STANDINGS.map((standing) => [standing, 0]));
  const breakers: Sample[] = [];
  for (const { accountPk, standing } of lanes) {
    const name = names.get(accountPk);
    if (name === undefined) continue;
    byStanding.set(standing, (byStanding.get(standing) ?? 0) + 1);
    const labels = { tenant_id: name.tenantId, account_id: name.accountId };
    breakers.push({ labels, value: standing === 'open' ? 1 : 0 });
  }
  const states = [...byStanding].map(([state, value]) => ({ labels: { state }, value }));
  return [
    gauge('gmp_lanes', 'Accounts that had mail since the start, by what they are doing.', states),
    gauge('gmp_breaker_open', 'Whether an account waits after trouble with its server.', breakers),
  ];
}

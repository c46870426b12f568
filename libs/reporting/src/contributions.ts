import type { ColumnStore, GuestFilter } from '@pvtrail/column-store';
import type { Between, ContributionRow, Split } from './contribution-row.js';
import { costedGuests, trapRows } from './kernel-metrics.js';
import { siteContributions } from './site-contributions.js';
import { Sums } from './sums.js';

/** What tells most about each kind: instructions where they are counted, else what the cause itself is. */
const METRIC: Readonly<Record<Exclude<Split, 'site' | 'trap'>, readonly string[]>> = {
  op: ['siteInstructions', 'thunkInstructions', 'siteSaves', 'thunkSaves'],
  function: ['instructions'],
  cause: ['saves', 'restores'],
};

/** What changed most between two stages, by one kind of statistic. @throws AppError `input/invalid`, `store/*` */
export const contributionsBy = async (
  store: ColumnStore,
  filter: GuestFilter,
  { of, before, after, limit }: Between,
): Promise<ContributionRow[]> => {
  const { stages: _, ...guests } = filter;
  if (of === 'site') return siteContributions(store, guests, { before, after, limit });
  if (of === 'trap') return trapContributions(store, guests, { before, after, limit });
  const rows: ContributionRow[] = [];
  for (const metric of METRIC[of]) {
    const found = await store.contributions({ ...guests, of, metric, before, after, limit });
    rows.push(...found.map((row) => ({ ...row, by: of, metric })));
  }
  return rows;
};

/** Traps to the hypervisor by kind, and what they cost. */
const trapContributions = async (
  store: ColumnStore,
  filter: GuestFilter,
  { before, after, limit }: Omit<Between, 'of'>,
): Promise<ContributionRow[]> => {
  const costs = new Map((await costedGuests(store, filter.runs)).map((guest) => [String(guest.guestId), guest.costs]));
  const rows = await store.comparison({ ...filter, stages: [before, after], by: ['guest', 'stage'] });
  const [counts, cycles] = [new Sums(), new Sums()];
  for (const row of rows) {
    const ofGuest = costs.get(String(row.guest));
    if (ofGuest === undefined) continue;
    for (const trap of trapRows(row, ofGuest)) {
      const side = row.stage === before ? 'before' : 'after';
      counts.add(trap.kind, side, trap.count);
      cycles.add(trap.kind, side, trap.cycles);
    }
  }
  return [counts.rows('trap', 'traps'), cycles.rows('trap', 'hypervisorCycles')].flatMap((all) => all.slice(0, limit));
};

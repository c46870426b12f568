import type { ColumnStore, GuestFilter, StatisticsRow } from '@pvtrail/column-store';
import type { Stage } from '@pvtrail/contracts';
import type { ContributionRow } from './contribution-row.js';
import { Sums } from './sums.js';

/** Guests whose kernels are built alike: call sites of others lie elsewhere. */
const KERNEL = ['type', 'bits', 'paging'] as const;

/**
 * Executed sites of one kernel by name. A site moves with the code before it: the nth site of an op in a function is the same site in
 * all stages.
 */
export const namedSites = <T extends Pick<StatisticsRow<'site'>, 'function' | 'op' | 'address'>>(
  sites: readonly T[],
): Map<string, T> => {
  const named = new Map<string, T>();
  for (const alike of Map.groupBy(sites, (site) => `${site.function} ${site.op}`).values()) {
    const inOrder = alike.toSorted((a, b) => a.address.localeCompare(b.address));
    for (const [index, site] of inOrder.entries()) named.set(`${site.function} ${site.op} #${index + 1}`, site);
  }
  return named;
};

interface BetweenStages {
  readonly before: Stage;
  readonly after: Stage;
  readonly limit: number;
}

/** Changed call sites: instructions executed within each, and in the thunks that it entered (their op's average). @throws AppError `store/*` */
export const siteContributions = async (
  store: ColumnStore,
  filter: GuestFilter,
  between: BetweenStages,
): Promise<ContributionRow[]> => {
  const [instructions, thunks] = [new Sums(), new Sums()];
  for (const { name, side, site, inThunk } of await sitesBetween(store, filter, between)) {
    instructions.add(name, side, site.instructions);
    thunks.add(name, side, inThunk);
  }
  return [
    ...instructions.rows('site', 'instructions').slice(0, between.limit),
    ...thunks.rows('site', 'thunkInstructions').slice(0, between.limit),
  ];
};

/** Call sites that take more instructions but nops than before, in themselves and their thunks; most first. @throws AppError `store/*` */
export const dearerSites = async (
  store: ColumnStore,
  filter: GuestFilter,
  between: BetweenStages,
): Promise<ContributionRow[]> => {
  const sums = new Sums();
  for (const { name, side, site, inThunk } of await sitesBetween(store, filter, between)) {
    sums.add(name, side, site.instructions - site.nops + inThunk);
  }
  const rows = sums.rows('site', 'instructionsWithThunk').filter(({ difference }) => difference > 0);
  return rows.slice(0, between.limit);
};

interface SiteAt {
  readonly name: string;
  readonly side: 'before' | 'after';
  readonly site: StatisticsRow<'site'>;
  readonly inThunk: number;
}

const sitesBetween = async (
  store: ColumnStore,
  filter: GuestFilter,
  { before, after }: BetweenStages,
): Promise<SiteAt[]> => {
  const asked = { ...filter, stages: [before, after], by: [...KERNEL, 'stage'] as const };
  const sites = await store.statistics({ ...asked, of: 'site' });
  const ops = await store.statistics({ ...asked, of: 'op' });
  const kernelOf = (row: (typeof sites)[number] | (typeof ops)[number]): string =>
    [...KERNEL.map((name) => row[name]), row.stage].join(' ');
  return [...Map.groupBy(sites, kernelOf)].flatMap(([kernel, ofKernel]) => {
    const perEntry = new Map(
      ops.filter((row) => kernelOf(row) === kernel).map((row) => [row.op, row.thunkInstructions / row.thunkEntries]),
    );
    return [...namedSites(ofKernel)].map(([name, site]): SiteAt => {
      const inThunk = site.thunkEntries === 0 ? 0 : Math.round(site.thunkEntries * (perEntry.get(site.op) ?? 0));
      return { name, side: site.stage === before ? 'before' : 'after', site, inThunk };
    });
  });
};

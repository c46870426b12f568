import type { ByStatistics, ColumnStore, Contribution, GuestFilter } from '@pvtrail/column-store';
import type { Stage } from '@pvtrail/contracts';
import { compactTable } from './compact-table.js';

export interface ContributionRow extends Contribution {
  readonly by: ByStatistics;
  readonly metric: string;
}

export interface Between {
  readonly of: ByStatistics;
  readonly before: Stage;
  readonly after: Stage;
  readonly limit: number;
}

/** What tells most about each kind: instructions where they are counted, else what the cause itself is. */
const METRIC: Readonly<Record<Exclude<ByStatistics, 'site'>, readonly string[]>> = {
  op: ['siteInstructions', 'thunkInstructions', 'siteSaves'],
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
  const rows: ContributionRow[] = [];
  for (const metric of METRIC[of]) {
    const found = await store.contributions({ ...guests, of, metric, before, after, limit });
    rows.push(...found.map((row) => ({ ...row, by: of, metric })));
  }
  return rows;
};

/** A site moves with the code before it: the nth site of an op in a function is the same site in all stages. */
const siteContributions = async (
  store: ColumnStore,
  filter: GuestFilter,
  { before, after, limit }: Omit<Between, 'of'>,
): Promise<ContributionRow[]> => {
  const rows = await store.statistics({ ...filter, stages: [before, after], by: ['stage'], of: 'site' });
  const sums = new Map<string, { before: number; after: number }>();
  for (const ofOne of Map.groupBy(rows, (row) => `${row.stage} ${row.function} ${row.op}`).values()) {
    for (const [index, row] of ofOne.toSorted((a, b) => a.address.localeCompare(b.address)).entries()) {
      const name = `${row.function} ${row.op} #${index + 1}`;
      const sum = sums.get(name) ?? { before: 0, after: 0 };
      sum[row.stage === before ? 'before' : 'after'] += row.instructions;
      sums.set(name, sum);
    }
  }
  return [...sums]
    .map(
      ([name, sum]): ContributionRow => ({
        by: 'site',
        metric: 'instructions',
        name,
        ...sum,
        difference: sum.after - sum.before,
      }),
    )
    .filter(({ difference }) => difference !== 0)
    .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference) || a.name.localeCompare(b.name))
    .slice(0, limit);
};

export const contributionTable = (
  rows: readonly ContributionRow[],
  { of, before, after }: Omit<Between, 'limit'>,
): string =>
  [...Map.groupBy(rows, ({ metric }) => metric)]
    .map(([metric, ofMetric]) => {
      const table = compactTable([`${of} (${metric})`, before, after, 'difference']);
      for (const row of ofMetric) table.push([row.name, row.before, row.after, signed(row.difference)]);
      return `${table.toString()}\n`;
    })
    .join('');

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));

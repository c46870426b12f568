import type { Between, ContributionRow } from '@pvtrail/reporting';
import { compactTable } from './compact-table.js';

export const contributionTable = (
  rows: readonly ContributionRow[],
  { of, before, after }: Omit<Between, 'limit'>,
): string => {
  if (rows.length === 0) return `no ${of} differs between ${before} and ${after}\n`;
  return [...Map.groupBy(rows, ({ metric }) => metric)]
    .map(([metric, ofMetric]) => {
      const table = compactTable([`${of} (${metric})`, before, after, 'difference']);
      for (const row of ofMetric) table.push([row.name, row.before, row.after, signed(row.difference)]);
      return `${table.toString()}\n`;
    })
    .join('');
};

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));

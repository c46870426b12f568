import type { Between, ContributionRow, Evidence, SiteText } from '@pvtrail/reporting';
import { compactTable } from './compact-table.js';

type Changes = Omit<Between, 'limit'>;

export const contributionTable = (rows: readonly ContributionRow[], { of, before, after }: Changes): string => {
  if (rows.length === 0) return `no ${of} differs between ${before} and ${after}\n`;
  const tables = [...Map.groupBy(rows, ({ metric }) => metric)].map(([metric, ofMetric]) => {
    const table = compactTable([`${of} (${metric})`, before, after, 'difference']);
    for (const row of ofMetric) table.push([row.name, row.before, row.after, signed(row.difference)]);
    return `${table.toString()}\n`;
  });
  return tables.join('') + evidenceText(rows, { of, before, after });
};

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));

/** What the call sites behind the rows were in the first stage and are in the second, each once. */
const evidenceText = (rows: readonly ContributionRow[], { before, after }: Changes): string => {
  const changed = new Map(
    rows.flatMap(({ name, evidence }) => {
      if (evidence === undefined) return [];
      const [was, is] = textsOf(evidence);
      return was === is ? [] : [[name, `  ${name}\n    was ${was}\n    is  ${is}\n`] as const];
    }),
  );
  return changed.size === 0 ? '' : `call sites at ${before}, and at ${after}\n${[...changed.values()].join('')}`;
};

const textsOf = (evidence: Evidence): [was: string, is: string] =>
  evidence.kind === 'site'
    ? [siteText(evidence.before), siteText(evidence.after)]
    : [outcomesText(evidence.before), outcomesText(evidence.after)];

const siteText = (site: SiteText | null): string =>
  site === null ? 'not executed' : `${outcomeText(site)}: ${site.bytesBefore} -> ${site.bytesAfter}`;

const outcomeText = ({ outcome, reason }: SiteText): string => (reason === null ? outcome : `${outcome} (${reason})`);

const outcomesText = (outcomes: Readonly<Record<string, number>>): string =>
  Object.entries(outcomes)
    .map(([outcome, sites]) => `${sites} ${outcome}`)
    .join(', ') || 'no site';

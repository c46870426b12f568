import type { Between, ContributionRow, Evidence, SiteText } from '@pvtrail/reporting';
import { compactTable } from './compact-table.js';

export const contributionTable = (
  rows: readonly ContributionRow[],
  { of, before, after }: Omit<Between, 'limit'>,
): string => {
  if (rows.length === 0) return `no ${of} differs between ${before} and ${after}\n`;
  return [...Map.groupBy(rows, ({ metric }) => metric)]
    .map(([metric, ofMetric]) => {
      const shown = ofMetric.some(({ evidence }) => evidence !== undefined);
      const head = [`${of} (${metric})`, before, after, 'difference', ...(shown ? ['call sites'] : [])];
      const table = compactTable(head);
      for (const { name, before: was, after: is, difference, evidence } of ofMetric) {
        table.push([name, was, is, signed(difference), ...(shown ? [evidenceText(evidence)] : [])]);
      }
      return `${table.toString()}\n`;
    })
    .join('');
};

const signed = (value: number): string => (value > 0 ? `+${value}` : String(value));

/** What the sites were in the first stage and are in the second. */
const evidenceText = (evidence: Evidence | undefined): string => {
  if (evidence === undefined) return '';
  const [was, is] =
    evidence.kind === 'site'
      ? [siteText(evidence.before), siteText(evidence.after)]
      : [outcomesText(evidence.before), outcomesText(evidence.after)];
  return was === is ? was : `${was} -> ${is}`;
};

const siteText = (site: SiteText | null): string =>
  site === null ? 'not executed' : `${outcomeText(site.outcome, site.reason)} ${site.bytesAfter}`;

const outcomeText = (outcome: string, reason: string | null): string =>
  reason === null ? outcome : `${outcome} (${reason})`;

const outcomesText = (outcomes: Readonly<Record<string, number>>): string =>
  Object.entries(outcomes)
    .map(([outcome, sites]) => `${sites} ${outcome}`)
    .join(', ') || 'none';

import { STAGES } from '@pvtrail/contracts';
import {
  BASE,
  type ComparisonRow,
  type CycleRow,
  FIXED,
  type FleetReport,
  SERIES,
  SUMMARY,
  summaryRow,
} from '@pvtrail/reporting';
import { compactTable } from './compact-table.js';
import { concerns, metricTable, overheadCell, percent, STAGE_HEADS, share } from './comparison.js';
import { contributionTable } from './contributions.js';

const summaryTable = (rows: readonly ComparisonRow[]): string => {
  const table = compactTable(['metric', ...STAGES.map((stage) => STAGE_HEADS[stage]), 'removed', 'v2.6.30\nremoved']);
  const ofSummary = rows.filter(
    ({ workload, footprint }) => workload === SUMMARY.workload && footprint === SUMMARY.footprint,
  );
  for (const metric of new Set(ofSummary.map((row) => row.metric))) {
    if (!concerns(metric, ofSummary)) continue;
    const cells = STAGES.map((stage) => overheadCell(summaryRow(rows, metric, stage)));
    table.push([
      metric,
      ...cells,
      share(summaryRow(rows, metric, SERIES)?.shareRemoved),
      share(summaryRow(rows, metric, FIXED)?.shareRemoved),
    ]);
  }
  return table.toString();
};

const outcomeTable = (outcomes: FleetReport['outcomes']): string => {
  const stages = STAGES.filter((stage) => outcomes.some((row) => row.stage === stage));
  const table = compactTable(['call sites', ...stages.map((stage) => STAGE_HEADS[stage])]);
  for (const [outcome, rows] of Map.groupBy(outcomes, (row) => row.outcome)) {
    table.push([outcome, ...stages.map((stage) => rows.find((row) => row.stage === stage)?.sites ?? 0)]);
  }
  return table.toString();
};

const cycleText = ({ stage, removed, flips }: CycleRow): string =>
  `  ${stage.padEnd(16)} ${share(removed.stated)} of v2.6.29's overhead in cycles removed (${share(removed.half)} with the costs halved, ` +
  `${share(removed.double)} doubled)${flips ? '  FLIPS' : ''}`;

const claimText = ({ rows, claim, spinlocks }: FleetReport): string => {
  const [instructions, cycles] = [summaryRow(rows, 'instructions', BASE), summaryRow(rows, 'guestCycles', BASE)];
  const { measured } = claim;
  return [
    `The posting of January 2009 says that the overhead dropped by about ${100 * claim.share} %, most visibly in L2 references.`,
    `Here the mix has ${percent(instructions?.overheadPercent ?? null)} more instructions and ${percent(cycles?.overheadPercent ?? null)} more cycles with v2.6.29 than without paravirt. Of that the series removed`,
    `  ${share(measured.instructions)} in instructions, ${share(measured.savesAndRestores)} in saves and restores, ${share(measured.l2References)} in L2 references, ${share(measured.guestCycles)} in cycles.`,
    `Why not more: ${share(spinlocks.before)} of v2.6.29's overhead in instructions lies in the functions of spin locks, and ${share(spinlocks.after)} of what is left: lock ops`,
    `stay calls in all stages. Outside of them the series removed ${share(spinlocks.removedOutside)}; what is left there are calls of ops without an inline form.`,
  ].join('\n');
};

const contributionText = (contributions: FleetReport['contributions']): string =>
  [...Map.groupBy(contributions, ({ by, from, to }) => `${by} ${from} ${to}`).values()]
    .flatMap((rows) => {
      const [first] = rows;
      return first ? contributionTable(rows, { of: first.by, before: first.from, after: first.to }) : [];
    })
    .join('\n');

/** The report as `npm start` prints it. */
export const reportText = (report: FleetReport): string =>
  [
    `Native, 64 bit, ${SUMMARY.workload} ${SUMMARY.footprint}: kernel only; nopv's counts, overheads over them, and the share of v2.6.29's overhead removed`,
    `by the series (callee-save-pte) and with its fixes (v2.6.30)`,
    summaryTable(report.rows),
    '',
    claimText(report),
    ...report.cycles.filter(({ stage }) => stage === SERIES || stage === FIXED).map(cycleText),
    '',
    metricTable(report.rows, 'instructions'),
    outcomeTable(report.outcomes),
    '',
    `What contributes most (${SUMMARY.workload} ${SUMMARY.footprint})`,
    contributionText(report.contributions),
    ...report.notes.map((note) => `· ${note}`),
    '',
  ].join('\n');

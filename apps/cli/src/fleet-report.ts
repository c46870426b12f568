import type { Metric } from '@pvtrail/analysis';
import { STAGES } from '@pvtrail/contracts';
import { BASE, type ComparisonRow, FIXED, type FleetReport, SERIES, SUMMARY, summaryRow } from '@pvtrail/reporting';
import { COLUMNS, compactTable } from './compact-table.js';
import { concerns, metricTable, overheadTable, percent, STAGE_HEADS, share } from './comparison.js';
import { contributionTable } from './contributions.js';

const summaryTable = (rows: readonly ComparisonRow[]): string =>
  overheadTable(rows.filter((row) => row.workload === SUMMARY.workload && row.footprint === SUMMARY.footprint));

const outcomeTable = (outcomes: FleetReport['outcomes']): string => {
  const stages = STAGES.filter((stage) => outcomes.some((row) => row.stage === stage));
  const table = compactTable(['call sites', ...stages.map((stage) => STAGE_HEADS[stage])]);
  for (const [outcome, rows] of Map.groupBy(outcomes, (row) => row.outcome)) {
    table.push([outcome, ...stages.map((stage) => rows.find((row) => row.stage === stage)?.sites ?? 0)]);
  }
  return table.toString();
};

/** The metrics that answer the posting's claim, in the words of people. */
const ANSWERING: readonly (readonly [metric: Metric, name: string])[] = [
  ['instructions', 'instructions'],
  ['savesAndRestores', 'saves and restores of registers'],
  ['l2References', 'L2 references'],
  ['guestCycles', 'cycles, estimated'],
  ['totalCycles', "cycles with the hypervisor's"],
];

const answerTable = (rows: readonly ComparisonRow[]): string => {
  const table = compactTable(['', 'v2.6.29', 'removed', 'with fixes']);
  for (const [metric, name] of ANSWERING) {
    if (!concerns(metric, rows)) continue;
    const removed = [SERIES, FIXED].map((stage) => share(summaryRow(rows, metric, stage)?.shareRemoved));
    table.push([name, percent(summaryRow(rows, metric, BASE)?.overheadPercent ?? null), ...removed]);
  }
  return table.toString();
};

const cycleText = ({ cycles, guest }: FleetReport): string => {
  const rows = cycles.filter(({ stage }) => stage === SERIES || stage === FIXED);
  const removed = rows.map(({ stage, removed: { half, double } }) => `${stage} ${share(half)} and ${share(double)}`);
  const flips = rows.filter((row) => row.flips).map(({ stage }) => stage);
  return [
    `Removed in cycles${guest === 'native' ? '' : ", the hypervisor's included,"} when the costs of misses and the like are halved and doubled: ${removed.join(', ')}.`,
    ...flips.map((stage) => `Whether ${stage} is cheaper than v2.6.29 at all depends on these costs.`),
  ].join(' ');
};

const guestName = ({ guest, bits }: FleetReport): string => `${guest} ${bits} bit`;

/** What the series did to the overhead: both removed, both added, or one of each. */
const effectText = (instructions: number | null | undefined, cycles: number | null | undefined): string => {
  const added = [instructions, cycles].map((removed) => (removed ?? 0) < 0);
  const size = (removed: number | null | undefined): string =>
    share(removed === null || removed === undefined ? removed : Math.abs(removed));
  const verb = (adds: boolean | undefined): string => (adds ? 'added' : 'removed');
  const of = added[0] ? 'to' : 'of';
  const second = added[0] === added[1] ? '' : `${verb(added[1])} `;
  return `The series ${verb(added[0])} ${size(instructions)} ${of} what paravirt costs this kernel in instructions, and ${second}${size(cycles)} in cycles.`;
};

/** What the series did, beside what its posting says, and why. */
const answerText = (report: FleetReport): string => {
  const { rows, claim } = report;
  const claimed = `${100 * claim.share} %`;
  return [
    wrapped(
      `${effectText(claim.measured.instructions, claim.measured.guestCycles)} ` +
        `Its posting of January 2009 says: about ${claimed}${report.guest === 'native' ? '' : ' removed from native kernels'}, most visibly in L2 references.`,
    ),
    '',
    answerTable(rows),
    wrapped(
      `(${guestName(report)}, ${SUMMARY.workload} ${SUMMARY.footprint}, kernel only: what v2.6.29 has more than native nopv, a kernel without paravirt; ` +
        'which part of it the series removed, and the series with its fixes, v2.6.30)',
    ),
    '',
    wrapped(report.guest === 'native' ? nativeReason(report) : hypervisorReason(report)),
    wrapped(cycleText(report)),
  ].join('\n');
};

const nativeReason = ({ spinlocks }: FleetReport): string =>
  `Why not more: ${share(spinlocks.before)} of v2.6.29's overhead in instructions lies in the functions of spin locks, and ` +
  `${share(spinlocks.after)} of what is left: lock ops stay calls in all stages. Outside of them the series removed ` +
  `${share(spinlocks.removedOutside)}; what is left there are calls of ops without an inline form.`;

const hypervisorReason = ({ worsened, guest }: FleetReport): string => {
  const stages = [...new Set(worsened.map(({ to }) => to))];
  if (stages.length === 0) return `No stage made a call site of the ${guest} guest dearer.`;
  return (
    `Why: ${stages.join(' and ')} made call sites of the ${guest} guest dearer. Ops that are functions there got thunks, and ` +
    'where the clobber test now fails they lost their direct calls; see below.'
  );
};

const worsenedText = (worsened: FleetReport['worsened']): string[] => {
  if (worsened.length === 0) return [];
  const parts = [...Map.groupBy(worsened, ({ from, to }) => `${from} ${to}`).values()].map((rows) => {
    const [first] = rows;
    return first ? contributionTable(rows, { of: 'site', before: first.from, after: first.to }) : '';
  });
  return [
    'What a stage made dearer: instructions but nops, in the site and in the thunk that it enters',
    parts.join('\n'),
  ];
};

const contributionText = (contributions: FleetReport['contributions']): string =>
  [...Map.groupBy(contributions, ({ by, from, to }) => `${by} ${from} ${to}`).values()]
    .flatMap((rows) => {
      const [first] = rows;
      return first ? contributionTable(rows, { of: first.by, before: first.from, after: first.to }) : [];
    })
    .join('\n');

/** Lines of at most `COLUMNS` characters; a number keeps its percent sign. */
const wrapped = (text: string): string =>
  text
    .replaceAll(' %', '\u00a0%')
    .replace(new RegExp(`(.{1,${COLUMNS}})(?: +|$)`, 'g'), '$1\n')
    .replaceAll('\u00a0', ' ')
    .trimEnd();

/** The report as `npm start` prints it: the answer first, then what it rests on. */
export const reportText = (report: FleetReport): string =>
  `${[
    answerText(report),
    '',
    `Overheads over nopv in % (${SUMMARY.workload} ${SUMMARY.footprint}), and which part of v2.6.29's was removed`,
    summaryTable(report.rows),
    '',
    metricTable(
      report.rows.map((row) => ({ ...row, guest: report.guest })),
      'instructions',
    ),
    outcomeTable(report.outcomes),
    '',
    `What contributes most (${SUMMARY.workload} ${SUMMARY.footprint})`,
    contributionText(report.contributions),
    ...worsenedText(report.worsened),
    ...report.notes.map((note) => wrapped(`· ${note}`)),
  ]
    .join('\n')
    .replace(/ +$/gm, '')}\n`;

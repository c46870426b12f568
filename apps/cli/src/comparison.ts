import type { Metric } from '@pvtrail/analysis';
import { STAGES, type Stage } from '@pvtrail/contracts';
import { type ComparisonRow, FIXED, SERIES } from '@pvtrail/reporting';
import { compactTable } from './compact-table.js';

const OF_HYPERVISOR: readonly Metric[] = ['traps', 'hypervisorCycles', 'totalCycles'];

/** Metrics that a hypervisor makes are left out of a table about guests without one. */
export const concerns = (metric: Metric, rows: readonly ComparisonRow[]): boolean =>
  !OF_HYPERVISOR.includes(metric) || rows.some((row) => row.metric === 'traps' && row.value > 0);

export const percent = (value: number | null): string => (value === null ? 'n/a' : `${value.toFixed(1)} %`);

/** A cause of saves and restores stands indented below their sum. */
const metricLabel = (metric: Metric): string => metric.replace(/^savesAndRestores\./, '  .');

/** One guest, workload and footprint: a line per metric, a column per stage with its overhead, then the shares removed. */
export const overheadTable = (rows: readonly ComparisonRow[]): string => {
  const stages = STAGES.filter((stage) => rows.some((row) => row.stage === stage));
  const judged = [SERIES, FIXED].filter((stage) => stages.includes(stage));
  const heads = judged.map((stage) => (stage === SERIES ? 'removed' : `${stage}\nremoved`));
  const table = compactTable(['metric', ...stages.map((stage) => STAGE_HEADS[stage]), ...heads]);
  for (const [metric, ofMetric] of Map.groupBy(rows, (row) => row.metric)) {
    if (!concerns(metric, rows)) continue;
    const at = (stage: string) => ofMetric.find((row) => row.stage === stage);
    const removed = judged.map((stage) => share(at(stage)?.shareRemoved));
    table.push([metricLabel(metric), ...stages.map((stage) => overheadCell(at(stage))), ...removed]);
  }
  return table.toString();
};

/** `mix hot`, and what else tells it from other stored guests. */
const workLabel = ({ workload, footprint, setting }: ComparisonRow): string =>
  [workload, footprint, setting].join(' ').trim();

/** A table per guest, workload and footprint. */
export const comparisonTable = (rows: readonly ComparisonRow[]): string =>
  [...Map.groupBy(rows, (row) => `${row.guest} ${row.bits} bit, ${workLabel(row)}`)]
    .map(
      ([title, ofGuest]) =>
        `${title}: overheads over nopv in %, and which part of v2.6.29's was removed\n${overheadTable(ofGuest)}\n`,
    )
    .join('\n');

/** Names of stages as heads of narrow columns. */
export const STAGE_HEADS: Readonly<Record<Stage, string>> = {
  nopv: 'nopv',
  'v2.6.29': 'v2.6.29',
  identity: 'identity',
  'clobber-aware': 'clobber\n-aware',
  'callee-save-irq': 'callee-\nsave\n-irq',
  'callee-save-pte': 'callee-\nsave\n-pte',
  'v2.6.30': 'v2.6.30',
  'direct-call': 'direct\n-call',
};

/** One metric: a line per workload and footprint, a column per stage with its overhead, and what share the series removed. */
export const metricTable = (rows: readonly ComparisonRow[], metric: Metric): string => {
  const ofMetric = rows.filter((row) => row.metric === metric);
  return [...Map.groupBy(ofMetric, (row) => `${row.guest} ${row.bits} bit`)]
    .map(([title, ofGuest]) => {
      const stages = STAGES.filter((stage) => ofGuest.some((row) => row.stage === stage));
      const table = compactTable(['workload', ...stages.map((stage) => STAGE_HEADS[stage]), 'removed']);
      for (const [workload, ofWorkload] of Map.groupBy(ofGuest, workLabel)) {
        const at = (stage: string) => ofWorkload.find((row) => row.stage === stage);
        const cells = stages.map((stage) => overheadCell(at(stage)));
        table.push([workload, ...cells, share(at(SERIES)?.shareRemoved)]);
      }
      const what = `${title}, ${metric}: overhead over nopv in %,`;
      return `${what}\nand which part of v2.6.29's the series (callee-save-pte) removed\n${table.toString()}\n`;
    })
    .join('\n');
};

/** `nopv`'s count, or the overhead over it: in percent, or counted (`+7`) where nopv has none. */
const overheadCell = (row: ComparisonRow | undefined): string => {
  if (row === undefined) return '';
  if (row.stage === 'nopv') return String(Math.round(row.value));
  if (row.overheadPercent !== null) return row.overheadPercent.toFixed(1);
  return row.overhead === null ? 'n/a' : `+${shortened(Math.round(row.overhead))}`;
};

const MILLION = 1e6;
const shortened = (count: number): string => (count < MILLION ? String(count) : `${(count / MILLION).toFixed(1)}M`);

export const share = (removed: number | null | undefined): string =>
  removed === null || removed === undefined ? 'n/a' : `${(100 * removed).toFixed(1)} %`;

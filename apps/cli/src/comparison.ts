import type { Metric } from '@pvtrail/analysis';
import { STAGES, type Stage } from '@pvtrail/contracts';
import type { ComparisonRow } from '@pvtrail/reporting';
import Table from 'cli-table3';
import { compactTable } from './compact-table.js';

const OF_HYPERVISOR: readonly Metric[] = ['traps', 'hypervisorCycles', 'totalCycles'];

/** Metrics that a hypervisor makes are left out of a table about guests without one. */
export const concerns = (metric: Metric, rows: readonly ComparisonRow[]): boolean =>
  !OF_HYPERVISOR.includes(metric) || rows.some((row) => row.metric === 'traps' && row.value > 0);

export const percent = (value: number | null): string => (value === null ? 'n/a' : `${value.toFixed(1)} %`);

/** A table per guest, workload and footprint: a line per metric, a column per stage with value and overhead. */
export const comparisonTable = (rows: readonly ComparisonRow[]): string =>
  [...Map.groupBy(rows, (row) => `${row.guest} ${row.bits} bit, ${row.workload}, ${row.footprint}`)]
    .map(([title, ofGuest]) => {
      const stages = [...new Set(ofGuest.map(({ stage }) => stage))];
      const table = new Table({ head: ['metric', ...stages], style: { head: [], border: [] } });
      for (const [metric, ofMetric] of Map.groupBy(ofGuest, (row) => row.metric)) {
        if (!concerns(metric, ofGuest)) continue;
        const cell = (row: ComparisonRow): string => {
          const share =
            row.shareRemoved === null || row.stage === 'v2.6.29' ? '' : `, ${percent(100 * row.shareRemoved)} removed`;
          return row.stage === 'nopv' ? String(Math.round(row.value)) : `${percent(row.overheadPercent)}${share}`;
        };
        table.push([metric, ...ofMetric.map(cell)]);
      }
      return `${title} (overhead over nopv; share of v2.6.29's overhead removed)\n${table.toString()}\n`;
    })
    .join('\n');

/** Names of stages as heads of narrow columns. */
export const STAGE_HEADS: Readonly<Record<Stage, string>> = {
  nopv: 'nopv',
  'v2.6.29': 'v2.6.29',
  identity: 'identity',
  'clobber-aware': 'clobber-\naware',
  'callee-save-irq': 'callee-\nsave-irq',
  'callee-save-pte': 'callee-\nsave-pte',
  'v2.6.30': 'v2.6.30',
  'direct-call': 'direct-\ncall',
};

/** One metric: a line per workload and footprint, a column per stage with its overhead, and what share the series removed. */
export const metricTable = (rows: readonly ComparisonRow[], metric: Metric): string => {
  const ofMetric = rows.filter((row) => row.metric === metric);
  return [...Map.groupBy(ofMetric, (row) => `${row.guest} ${row.bits} bit`)]
    .map(([title, ofGuest]) => {
      const stages = STAGES.filter((stage) => ofGuest.some((row) => row.stage === stage));
      const table = compactTable(['workload', ...stages.map((stage) => STAGE_HEADS[stage]), 'removed']);
      for (const [workload, ofWorkload] of Map.groupBy(ofGuest, (row) => `${row.workload} ${row.footprint}`)) {
        const at = (stage: string) => ofWorkload.find((row) => row.stage === stage);
        const cells = stages.map((stage) => overheadCell(at(stage)));
        table.push([workload, ...cells, share(at('callee-save-pte')?.shareRemoved)]);
      }
      return `${title}, ${metric}: overhead over nopv, and the share of v2.6.29's that the series (callee-save-pte) removed\n${table.toString()}\n`;
    })
    .join('\n');
};

/** `nopv`'s count, or the overhead over it: in percent, or counted where nopv has none. */
export const overheadCell = (row: ComparisonRow | undefined): string => {
  if (row === undefined) return '';
  if (row.stage === 'nopv') return String(Math.round(row.value));
  return row.overheadPercent === null && row.overhead !== null ? `+${row.overhead}` : percent(row.overheadPercent);
};

export const share = (removed: number | null | undefined): string =>
  removed === null || removed === undefined ? 'n/a' : `${(100 * removed).toFixed(1)} %`;

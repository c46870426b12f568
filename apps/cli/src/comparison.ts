import { METRICS, type Metric, overhead, shareRemoved } from '@pvtrail/analysis';
import type { ColumnStore } from '@pvtrail/column-store';
import { type RunId, STAGES, type Stage } from '@pvtrail/contracts';
import Table from 'cli-table3';
import { compactTable } from './compact-table.js';
import { costedGuests, kernelMetrics, type Metrics } from './kernel-metrics.js';

/** One metric of the kernel's instructions of one guest (definitions §4). Overheads are relative to native `nopv` of the same workload. */
export interface ComparisonRow {
  readonly guest: string;
  readonly bits: number;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  readonly metric: Metric;
  readonly value: number;
  /** null without a `nopv` guest to compare with */
  readonly overhead: number | null;
  readonly overheadPercent: number | null;
  /** of `v2.6.29`'s overhead; null where that is below 0.1 % of `nopv` */
  readonly shareRemoved: number | null;
}

const BY = ['type', 'bits', 'paging', 'stage', 'workload', 'footprint'] as const;

type Keyed = { readonly [K in (typeof BY)[number]]?: string | number };

const workloadKey = ({ bits, paging, workload, footprint }: Keyed): string =>
  [bits, paging, workload, footprint].join(' ');
const guestKey = (row: Keyed): string => [row.type, row.stage, workloadKey(row)].join(' ');

/** Every metric of every finished guest of the runs, summed over guests that differ in nothing else than their seed. */
export const compareRuns = async (store: ColumnStore, runs: readonly RunId[]): Promise<ComparisonRow[]> => {
  const totals = await store.comparison({ runs, by: BY });
  const causes = await store.statistics({ runs, by: BY, of: 'cause' });
  const costs = new Map((await costedGuests(store, runs)).map((guest) => [guestKey(guest.spec), guest.costs]));
  const guests = [...Map.groupBy(totals, guestKey)].flatMap(([key, rows]) => {
    const [first] = rows;
    const ofGuest = costs.get(key);
    if (first === undefined || ofGuest === undefined) return [];
    const ofKernel = rows.find(({ mode }) => mode === 'kernel');
    const perCause = causes.filter((row) => guestKey(row) === key);
    return { key: first as Keyed, metrics: kernelMetrics(ofKernel, perCause, ofGuest) };
  });
  const find = (type: string, stage: string, like: Keyed) =>
    guests.find((guest) => guestKey(guest.key) === guestKey({ ...like, type, stage }));
  return guests
    .toSorted((a, b) => orderOf(a.key).localeCompare(orderOf(b.key)))
    .flatMap(({ key, metrics }) => {
      const nopv = find('native', 'nopv', key)?.metrics;
      const base = find(String(key.type), 'v2.6.29', key)?.metrics;
      return METRICS.map((metric): ComparisonRow => rowOf(key, metric, metrics, nopv, base));
    });
};

const orderOf = (key: Keyed): string =>
  [key.type, key.bits, key.workload, key.footprint, STAGES.indexOf(key.stage as Stage)].join(' ');

const rowOf = (
  key: Keyed,
  metric: Metric,
  metrics: Metrics,
  nopv: Metrics | undefined,
  base: Metrics | undefined,
): ComparisonRow => {
  const value = metrics[metric];
  const over = nopv === undefined ? undefined : overhead(value, nopv[metric]);
  const share =
    nopv === undefined || base === undefined || key.stage === 'nopv'
      ? undefined
      : shareRemoved(value, base[metric], nopv[metric]);
  return {
    guest: String(key.type),
    bits: Number(key.bits),
    stage: String(key.stage),
    workload: String(key.workload),
    footprint: String(key.footprint),
    metric,
    value,
    overhead: over?.absolute ?? null,
    overheadPercent: over?.percent ?? null,
    shareRemoved: share ?? null,
  };
};

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

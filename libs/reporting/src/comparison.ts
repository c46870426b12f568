import { METRICS, type Metric, overhead, shareRemoved } from '@pvtrail/analysis';
import type { ColumnStore } from '@pvtrail/column-store';
import { type RunId, STAGES, type Stage } from '@pvtrail/contracts';
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

import { METRICS, type Metric, overhead, shareRemoved } from '@pvtrail/analysis';
import type { ColumnStore } from '@pvtrail/column-store';
import { type GuestSpec, type RunId, STAGES, type Stage } from '@pvtrail/contracts';
import { groupsOfEqualWork } from './comparable-guests.js';
import { costedGuests, kernelMetrics, type Metrics } from './kernel-metrics.js';

/** One metric of the kernel's instructions of one guest (definitions §4). Overheads are relative to native `nopv` doing the same work. */
export interface ComparisonRow {
  readonly guest: string;
  readonly bits: number;
  readonly stage: string;
  readonly workload: string;
  readonly footprint: string;
  /** what tells it from other stored guests of the same workload and footprint: `iterations=5 seed=2`; '' when there are none */
  readonly setting: string;
  readonly metric: Metric;
  readonly value: number;
  /** null without a `nopv` guest to compare with */
  readonly overhead: number | null;
  readonly overheadPercent: number | null;
  /** of `v2.6.29`'s overhead; null where that is below 0.1 % of `nopv` */
  readonly shareRemoved: number | null;
}

interface Counted {
  readonly spec: GuestSpec;
  readonly setting: string;
  readonly metrics: Metrics;
}

/** Every metric of every finished guest of the runs; guests that two runs have in common are there once. */
export const compareRuns = async (store: ColumnStore, runs: readonly RunId[]): Promise<ComparisonRow[]> => {
  const totals = Map.groupBy(await store.comparison({ runs, by: ['guest'] }), ({ guest }) => guest);
  const causes = Map.groupBy(await store.statistics({ runs, by: ['guest'], of: 'cause' }), ({ guest }) => guest);
  const finished = (await costedGuests(store, runs)).filter(({ guestId }) => totals.has(guestId));
  return groupsOfEqualWork(finished)
    .map(({ setting, guests }) =>
      guests.map(({ guestId, spec, costs }): Counted => {
        const ofKernel = totals.get(guestId)?.find(({ mode }) => mode === 'kernel');
        return { spec, setting, metrics: kernelMetrics(ofKernel, causes.get(guestId) ?? [], costs) };
      }),
    )
    .flatMap(rowsOfGroup)
    .toSorted((a, b) => orderOf(a).localeCompare(orderOf(b)));
};

const rowsOfGroup = (group: readonly Counted[]): ComparisonRow[] => {
  const find = (type: string, stage: string) =>
    group.find(({ spec }) => spec.type === type && spec.stage === stage)?.metrics;
  return group.flatMap((guest) =>
    METRICS.map((metric) => rowOf(guest, metric, find('native', 'nopv'), find(guest.spec.type, 'v2.6.29'))),
  );
};

const orderOf = ({ guest, bits, workload, footprint, setting, stage }: ComparisonRow): string =>
  [guest, bits, workload, footprint, setting, STAGES.indexOf(stage as Stage)].join(' ');

const rowOf = (
  { spec, setting, metrics }: Counted,
  metric: Metric,
  nopv: Metrics | undefined,
  base: Metrics | undefined,
): ComparisonRow => {
  const value = metrics[metric];
  const over = nopv === undefined ? undefined : overhead(value, nopv[metric]);
  const share =
    nopv === undefined || base === undefined || spec.stage === 'nopv'
      ? undefined
      : shareRemoved(value, base[metric], nopv[metric]);
  return {
    guest: spec.type,
    bits: spec.bits,
    stage: spec.stage,
    workload: spec.workload,
    footprint: spec.footprint,
    setting,
    metric,
    value,
    overhead: over?.absolute ?? null,
    overheadPercent: over?.percent ?? null,
    shareRemoved: share ?? null,
  };
};

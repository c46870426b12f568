import {
  type CycleCosts,
  cycleCostsOf,
  type EventRow,
  type Metric,
  type MetricSource,
  metricsOf,
  noCounts,
  trapCycles,
} from '@pvtrail/analysis';
import type { ColumnStore, Comparison, StatisticsRow } from '@pvtrail/column-store';
import type { GuestId, GuestSpec, RunId } from '@pvtrail/contracts';
import { trapKindOf } from '@pvtrail/trace';

export type Metrics = Readonly<Record<Metric, number>>;

/** Every metric of the kernel's instructions, from stored counts; `kernel` is undefined where none ran. */
export const kernelMetrics = (
  kernel: Comparison | undefined,
  perCause: readonly StatisticsRow<'cause'>[],
  costs: CycleCosts,
): Metrics => {
  const source = {
    totals: { kernel: kernel ?? noCounts(), user: noCounts() },
    perCause,
    privileged: Object.entries(kernel?.privileged ?? {}).map(([kind, count]) => ({ kind, mode: 'kernel', count })),
    events: trapCounts(kernel),
  } as MetricSource;
  return metricsOf(source, 'kernel', costs);
};

const trapCounts = (kernel: Comparison | undefined): EventRow[] =>
  Object.entries(kernel?.traps ?? {}).map(([number, count]) => ({ kind: 'trap', number: Number(number), count }));

/** Traps to the hypervisor of one kind. */
export interface TrapRow {
  readonly kind: string;
  readonly count: number;
  readonly cycles: number;
}

export const trapRows = (kernel: Comparison | undefined, costs: CycleCosts): TrapRow[] =>
  trapCounts(kernel).map(({ number, count }) => ({
    kind: trapKindOf(number) ?? String(number),
    count,
    cycles: count * trapCycles(number, costs),
  }));

/** Guests of the runs that have ended, with the costs that each names. */
export const costedGuests = async (
  store: ColumnStore,
  runs: readonly RunId[],
): Promise<{ guestId: GuestId; spec: GuestSpec; costs: CycleCosts }[]> => {
  const guests = [];
  for (const run of runs) guests.push(...(await store.guests(run)));
  return guests.map(({ guestId, spec }) => ({ guestId, spec, costs: cycleCostsOf(spec) }));
};

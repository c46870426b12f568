import { trapKindOf } from '@pvtrail/trace';
import type { SystemClass } from '@pvtrail/x86';
import { type CycleCosts, scaleCosts } from './cost-model.js';
import type { Counts, EventRow, Mode, OpRow, PrivilegedRow, UnitStatistics } from './statistics.js';

/** What metrics are computed from: a part of a unit's statistics, or of the sum over units. */
export type MetricSource = Pick<UnitStatistics, 'totals' | 'perCause' | 'privileged' | 'events'>;

/** Metrics that are sums of counts. Saves and restores are kernel code's; user mode has no ledger. */
const COUNTED = {
  instructions: ({ counts, halts }) => counts.instructions - halts,
  nops: ({ counts }) => counts.nops,
  savesAndRestores: ({ saves }) => saves(),
  'savesAndRestores.in-site': ({ saves }) => saves('in-site'),
  'savesAndRestores.thunk': ({ saves }) => saves('thunk'),
  'savesAndRestores.callee-frame': ({ saves }) => saves('callee-frame'),
  'savesAndRestores.spill': ({ saves }) => saves('spill'),
  'savesAndRestores.entry-frame': ({ saves }) => saves('entry-frame'),
  dataReferences: ({ counts }) => dataReferences(counts),
  l1iReferences: ({ counts }) => counts.l1iReferences,
  l1iMisses: ({ counts }) => counts.l1iMisses,
  l1dReferences: ({ counts }) => dataReferences(counts),
  l1dMisses: ({ counts }) => counts.l1dMisses,
  l2References: ({ counts }) => l2References(counts),
  l2Misses: ({ counts }) => l2Misses(counts),
  writeBacks: ({ counts }) => counts.l1dWriteBacks + counts.l2WriteBacks,
  branches: ({ counts }) => counts.conditionalBranches + counts.indirectBranches + counts.returns,
  mispredictions: ({ counts }) => mispredictions(counts),
  traps: ({ traps }) => traps.reduce((sum, { count }) => sum + count, 0),
} as const satisfies Record<string, (source: CountedSource) => number>;

interface CountedSource {
  readonly counts: Counts;
  /** saves + restores of a cause, or of all causes */
  readonly saves: (cause?: string) => number;
  readonly traps: readonly TrapCount[];
  /** executed hlt: the guest was idle */
  readonly halts: number;
}

type TrapCount = Pick<EventRow, 'number' | 'count'>;

export type CountedMetric = keyof typeof COUNTED;
export const COUNTED_METRICS = Object.keys(COUNTED) as readonly CountedMetric[];
/** Without the hypervisor's, the hypervisor's alone, and both. */
export const CYCLE_METRICS = ['guestCycles', 'hypervisorCycles', 'totalCycles'] as const;
export type Metric = CountedMetric | (typeof CYCLE_METRICS)[number];
export const METRICS: readonly Metric[] = [...COUNTED_METRICS, ...CYCLE_METRICS];

const dataReferences = (counts: Counts): number => counts.dataReads + counts.dataWrites;
export const l2References = (counts: Counts): number => counts.l1iMisses + counts.l1dMisses;
export const l2Misses = (counts: Counts): number => counts.l2InstructionMisses + counts.l2DataMisses;
export const mispredictions = (counts: Counts): number =>
  counts.conditionalMispredictions + counts.indirectMispredictions + counts.returnMispredictions;

/** Every metric of definitions §4 for one mode; cycles at the given costs. All traps to the hypervisor count as the kernel's. */
export const metricsOf = (source: MetricSource, mode: Mode, costs: CycleCosts): Record<Metric, number> => {
  const counts = source.totals[mode];
  const saves = (cause?: string): number =>
    source.perCause
      .filter((row) => mode === 'kernel' && (cause === undefined || row.cause === cause))
      .reduce((sum, row) => sum + row.saves + row.restores, 0);
  const traps = source.events.filter(({ kind }) => mode === 'kernel' && kind === 'trap');
  const privileged = source.privileged.filter((row) => row.mode === mode);
  const halts = privileged.find(({ kind }) => kind === 'hlt')?.count ?? 0;
  const counted = COUNTED_METRICS.map((metric): [Metric, number] => [
    metric,
    COUNTED[metric]({ counts, saves, traps, halts }),
  ]);
  const ofGuest = guestCycles(counts, privileged, costs);
  const ofHypervisor = hypervisorCycles(traps, costs);
  const cycles = { guestCycles: ofGuest, hypervisorCycles: ofHypervisor, totalCycles: ofGuest + ofHypervisor };
  return { ...Object.fromEntries(counted), ...cycles } as Record<Metric, number>;
};

/** Estimated cycles (definitions §4): a function of exact counts, so that costs can change without a new simulation. */
export const guestCycles = (
  counts: Counts,
  privileged: readonly Pick<PrivilegedRow, 'kind' | 'count'>[],
  costs: CycleCosts,
): number => {
  const privilegedCount = privileged.reduce((sum, { count }) => sum + count, 0);
  const privilegedCycles = privileged.reduce(
    (sum, { kind, count }) => sum + count * (costs.privileged[kind as SystemClass] ?? costs.instruction),
    0,
  );
  return (
    (counts.instructions - counts.nops - privilegedCount) * costs.instruction +
    counts.nops * costs.nop +
    privilegedCycles +
    l2References(counts) * costs.l1Miss +
    l2Misses(counts) * costs.l2Miss +
    mispredictions(counts) * costs.misprediction
  );
};

/** Cycles of one trap: one of a kind that the table lacks is taken for an emulated instruction. */
export const trapCycles = (number: number, { traps }: CycleCosts): number =>
  traps[trapKindOf(number) ?? 'emulated-instruction'];

/** Σ traps × cost (definitions §4): a column of its own, never part of guest cycles. */
export const hypervisorCycles = (traps: readonly TrapCount[], costs: CycleCosts): number =>
  traps.reduce((sum, { number, count }) => sum + count * trapCycles(number, costs), 0);

/** A cycle figure at the stated costs, and with the estimated ones halved and doubled. */
export interface CycleRange {
  readonly half: number;
  readonly stated: number;
  readonly double: number;
}

/** `cycles` at the costs, and with the estimated ones halved and doubled. */
export const cycleRange = (cycles: (costs: CycleCosts) => number, costs: CycleCosts): CycleRange => ({
  half: cycles(scaleCosts(costs, 0.5)),
  stated: cycles(costs),
  double: cycles(scaleCosts(costs, 2)),
});

/** Whether "a is cheaper than b" is answered differently when the estimated costs are halved or doubled. */
export const conclusionFlips = (a: CycleRange, b: CycleRange): boolean => {
  const stated = Math.sign(a.stated - b.stated);
  return Math.sign(a.half - b.half) !== stated || Math.sign(a.double - b.double) !== stated;
};

/** Cost relative to native `nopv` of the same bitness, paging, workload, seed and scale. */
export interface Overhead {
  readonly absolute: number;
  /** in % of `nopv`; undefined when `nopv` has none */
  readonly percent: number | undefined;
}

export const overhead = (value: number, nopv: number): Overhead => ({
  absolute: value - nopv,
  percent: nopv === 0 ? undefined : (100 * (value - nopv)) / nopv,
});

/** Below this part of `nopv` an overhead is too small to speak of a share of it (definitions §4). */
const SMALLEST_OVERHEAD = 0.001;

/**
 * The share of v2.6.29's overhead that a stage removed: 1 is all of it, more than 1 or less than 0 are possible; undefined is "n/a".
 */
export const shareRemoved = (stage: number, v2629: number, nopv: number): number | undefined => {
  const before = v2629 - nopv;
  if (before === 0 || Math.abs(before) < SMALLEST_OVERHEAD * Math.abs(nopv)) return undefined;
  return 1 - (stage - nopv) / before;
};

/** Executions of each op per 1000 kernel instructions. */
export const opsPerThousandInstructions = (
  perOp: readonly Pick<OpRow, 'op' | 'executions'>[],
  kernelInstructions: number,
): Map<string, number> =>
  new Map(
    perOp.map(({ op, executions }) => [op, kernelInstructions === 0 ? 0 : (1000 * executions) / kernelInstructions]),
  );

/** The part of the data references that rep string instructions made, 0 … 1 (definitions §3 allows at most 0.2 in the mix). */
export const repShare = (counts: Counts): number =>
  dataReferences(counts) === 0 ? 0 : counts.repReferences / dataReferences(counts);

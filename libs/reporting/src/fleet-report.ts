import {
  type CycleCosts,
  type CycleRange,
  conclusionFlips,
  cycleRange,
  type Metric,
  shareRemoved,
} from '@pvtrail/analysis';
import type { ColumnStore, Comparison, GuestFilter } from '@pvtrail/column-store';
import { type GuestType, type RunId, STAGES, type Stage } from '@pvtrail/contracts';
import type { EventLogReader } from '@pvtrail/event-log';
import { type ComparisonRow, compareRuns } from './comparison.js';
import type { ContributionRow } from './contribution-row.js';
import { contributionsBy } from './contributions.js';
import { costedGuests, kernelMetrics } from './kernel-metrics.js';
import { dearerSites } from './site-contributions.js';
import { withEvidence } from './site-evidence.js';
import { outcomeCounts, sitesOf } from './sites.js';

/** The stages that the posting's claim is held against: the series complete, and with its follow-up fixes. */
export const BASE: Stage = 'v2.6.29';
export const SERIES: Stage = 'callee-save-pte';
export const FIXED: Stage = 'v2.6.30';
/** The guest that the summary is about: all workloads in equal parts, the kernel's paths alone. */
export const SUMMARY = { workload: 'mix', footprint: 'hot' } as const;
const CONTRIBUTORS = 8;
const CLAIMED_SHARE = 0.75;

/** Estimated cycles of a stage at the stated costs, and with them halved and doubled. */
export interface CycleRow {
  readonly stage: string;
  readonly cycles: CycleRange;
  /** of v2.6.29's overhead, at each of the three; null is n/a */
  readonly removed: Readonly<Record<keyof CycleRange, number | null>>;
  /** "cheaper than v2.6.29" is answered differently when the estimated costs are halved or doubled */
  readonly flips: boolean;
}

/** How much of the overhead in instructions lies in the functions of spin locks, and the share removed outside of them; null is n/a. */
interface SpinlockPart {
  readonly before: number | null;
  readonly after: number | null;
  readonly removedOutside: number | null;
}

export interface FleetReport {
  /** The guests that the report is about; `nopv`, the zero, is native. */
  readonly guest: GuestType;
  readonly bits: 32 | 64;
  readonly rows: readonly ComparisonRow[];
  readonly cycles: readonly CycleRow[];
  /** Call sites by stage and outcome. */
  readonly outcomes: readonly { readonly stage: string; readonly outcome: string; readonly sites: number }[];
  /** From nopv: where the overhead is. From v2.6.29 to callee-save-pte: what the series changed. */
  readonly contributions: readonly (ContributionRow & { readonly from: Stage; readonly to: Stage })[];
  readonly claim: { readonly share: number; readonly measured: Readonly<Record<string, number | null>> };
  readonly spinlocks: SpinlockPart;
  /** Call sites that a stage made dearer than the stage before: instructions but nops in the site and the thunk that it enters. */
  readonly worsened: FleetReport['contributions'];
  readonly notes: readonly string[];
}

/** What holds for every figure of the default fleet (definitions §1, §2, §4). */
const NOTES = [
  'Compiled by a modern gcc, not 2009’s. One virtual CPU; TLB misses, table walks and prefetch are not modelled.',
  'Fixed layout: functions lie at the same addresses in all stages, so gains by smaller code hardly show in L1I.',
  'v2.6.29 here has no pte_flags op; the release still had it and was worse.',
  'Cycles are estimated from exact counts; L1 and L2 miss, misprediction and most privileged costs are assumptions.',
  'Pv spinlocks are on as in the period: the series never removed their calls.',
  'Copies of registers that clobbers force count as instructions, not as saves.',
];

/** Definitions §1. */
const PAE_NOTE =
  'PAE tables. callee-save-pte has F1 to F3 folded in: as posted it lost half of each entry, and the compiler dropped the work on it.';

const HYPERVISOR_NOTE =
  'Of the hypervisor, traps are counted and costed by kind; its instructions and its use of the caches are not modelled.';

/** About the run's guests that are not native, when it has any. @throws AppError `store/*`, `log/*` */
export const fleetReport = async (log: EventLogReader, store: ColumnStore, runId: RunId): Promise<FleetReport> => {
  const filter: GuestFilter = { runs: [runId], workloads: [SUMMARY.workload], footprints: [SUMMARY.footprint] };
  const subject = await subjectOf(store, runId);
  const rows = (await compareRuns(store, [runId])).filter(
    ({ guest, bits, stage }) => bits === subject.bits && (guest === subject.guest || stage === 'nopv'),
  );
  return {
    ...subject,
    rows,
    cycles: await cycleRows(store, filter),
    outcomes: await outcomesOf(log, store, runId),
    contributions: await contributionsOf(store, filter),
    claim: { share: CLAIMED_SHARE, measured: claimOf(rows) },
    spinlocks: await spinlockPart(store, filter),
    worsened: await worsenedOf(log, store, filter),
    notes: [
      ...NOTES,
      ...(subject.bits === 32 ? [PAE_NOTE] : []),
      ...(subject.guest === 'native' ? [] : [HYPERVISOR_NOTE]),
    ],
  };
};

const subjectOf = async (store: ColumnStore, runId: RunId): Promise<Pick<FleetReport, 'guest' | 'bits'>> => {
  const guests = await store.guests(runId);
  const { type, bits } = (guests.find(({ spec }) => spec.type !== 'native') ?? guests[0])?.spec ?? {};
  return { guest: type ?? 'native', bits: bits ?? 64 };
};

const cycleRows = async (store: ColumnStore, filter: GuestFilter): Promise<CycleRow[]> => {
  const totals = await store.comparison({ ...filter, by: ['stage'] });
  const costs = new Map(
    (await costedGuests(store, filter.runs)).map((guest) => [String(guest.spec.stage), guest.costs]),
  );
  const rangeOf = (row: Comparison, ofStage: CycleCosts): CycleRange =>
    cycleRange((variant) => kernelMetrics(row, [], variant).totalCycles, ofStage);
  const ranges = new Map(
    totals.flatMap((row) => {
      const ofStage = costs.get(String(row.stage));
      return row.mode === 'kernel' && ofStage !== undefined
        ? [[String(row.stage), rangeOf(row, ofStage)] as const]
        : [];
    }),
  );
  const [nopv, base] = [ranges.get('nopv'), ranges.get(BASE)];
  if (nopv === undefined || base === undefined) return [];
  const removed = (cycles: CycleRange, at: keyof CycleRange) => shareRemoved(cycles[at], base[at], nopv[at]) ?? null;
  return STAGES.flatMap((stage) => {
    const cycles = ranges.get(stage);
    if (cycles === undefined) return [];
    return {
      stage,
      cycles,
      removed: { half: removed(cycles, 'half'), stated: removed(cycles, 'stated'), double: removed(cycles, 'double') },
      flips: stage !== 'nopv' && stage !== BASE && conclusionFlips(cycles, base),
    };
  });
};

const outcomesOf = async (log: EventLogReader, store: ColumnStore, runId: RunId): Promise<FleetReport['outcomes']> => {
  const ofSummary = (await store.guests(runId)).filter(
    ({ spec }) => spec.workload === SUMMARY.workload && spec.footprint === SUMMARY.footprint,
  );
  const outcomes = [];
  for (const { guestId, spec } of ofSummary) {
    const counts = outcomeCounts(await sitesOf(log, store, runId, guestId));
    for (const [outcome, sites] of counts) outcomes.push({ stage: spec.stage, outcome, sites });
  }
  return outcomes;
};

const contributionsOf = async (store: ColumnStore, filter: GuestFilter): Promise<FleetReport['contributions']> => {
  const asked = [
    { of: 'function', before: 'nopv', after: BASE },
    { of: 'function', before: BASE, after: SERIES },
    { of: 'function', before: 'nopv', after: SERIES },
    { of: 'op', before: BASE, after: SERIES },
    { of: 'site', before: BASE, after: SERIES },
  ] as const;
  const rows = [];
  for (const between of asked) {
    const found = await contributionsBy(store, filter, { ...between, limit: CONTRIBUTORS });
    rows.push(...found.map((row) => ({ ...row, from: between.before, to: between.after })));
  }
  return rows;
};

const WORSENED = 3;

const worsenedOf = async (
  log: EventLogReader,
  store: ColumnStore,
  filter: GuestFilter,
): Promise<FleetReport['worsened']> => {
  const found = [];
  for (const [index, to] of STAGES.entries()) {
    const from = STAGES[index - 1];
    if (from === undefined || from === 'nopv') continue;
    const between = { of: 'site', before: from, after: to, limit: WORSENED } as const;
    const shown = await withEvidence(log, store, filter, between, await dearerSites(store, filter, between));
    found.push(...shown.map((row) => ({ ...row, from, to })));
  }
  return found;
};

const ALL_FUNCTIONS = 100_000;
const isSpinlockFunction = (name: string): boolean => /^(ticket_)?spin_/.test(name);

const spinlockPart = async (store: ColumnStore, filter: GuestFilter): Promise<SpinlockPart> => {
  const overheadAt = async (after: Stage) => {
    const rows = await contributionsBy(store, filter, { of: 'function', before: 'nopv', after, limit: ALL_FUNCTIONS });
    const sum = (wanted: (name: string) => boolean): number =>
      rows.reduce((total, { name, difference }) => total + (wanted(name) ? difference : 0), 0);
    return { locks: sum(isSpinlockFunction), others: sum((name) => !isSpinlockFunction(name)) };
  };
  const [base, series] = [await overheadAt(BASE), await overheadAt(SERIES)];
  const part = ({ locks, others }: typeof base) => (locks + others === 0 ? null : locks / (locks + others));
  return {
    before: part(base),
    after: part(series),
    removedOutside: base.others === 0 ? null : 1 - series.others / base.others,
  };
};

const CLAIMED: readonly Metric[] = ['instructions', 'savesAndRestores', 'l2References', 'guestCycles', 'totalCycles'];

const claimOf = (rows: readonly ComparisonRow[]): Record<string, number | null> =>
  Object.fromEntries(CLAIMED.map((metric) => [metric, summaryRow(rows, metric, SERIES)?.shareRemoved ?? null]));

/** The row of the guest that the summary is about. */
export const summaryRow = (rows: readonly ComparisonRow[], metric: Metric, stage: Stage): ComparisonRow | undefined =>
  rows.find(
    (row) =>
      row.metric === metric &&
      row.stage === stage &&
      row.workload === SUMMARY.workload &&
      row.footprint === SUMMARY.footprint,
  );

import {
  addUnits,
  BlockDescriptions,
  type CountKey,
  cycleCostsOf,
  DEFAULT_CONFIGURATION,
  emptyUnit,
  metricsOf,
  NaiveSimulator,
  Simulator,
  type UnitStatistics,
} from '@pvtrail/analysis';
import { loadAnalysisKernel } from '@pvtrail/analysis/node';
import { parseGuestSpec } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { ONE_OF_EACH, type Wanted } from './observed-guest.js';
import { catalogueAt } from './stage-image.js';
import { traceChunks } from './traced-guest.js';

const module = loadAnalysisKernel();

/** So small that a short guest evicts lines of the L2 too. */
const cache = (sizeBytes: number) => ({ sizeBytes, ways: 4, lineBytes: 64 });
const caches = { l1i: cache(4 << 10), l1d: cache(4 << 10), l2: cache(32 << 10) };
const configuration = { ...DEFAULT_CONFIGURATION, caches };

/** Rows in the order of their keys. */
const ordered = (unit: UnitStatistics): UnitStatistics => addUnits(unit, emptyUnit());

/** A guest's chunks, each analysed by the simulator and by its naive twin. */
const analyse = (wanted: Wanted) => {
  const memory = new WebAssembly.Memory({ initial: 256 });
  const catalogue = catalogueAt(wanted.stage, wanted.type === 'xen' ? 'xen-64' : 'native-64');
  const descriptions = new BlockDescriptions(catalogue);
  const simulator = new Simulator({ module, descriptions, configuration, memory, base: memory.buffer.byteLength });
  const twin = new NaiveSimulator(catalogue, configuration);
  const { kernelInstructions, userInstructions } = traceChunks(wanted, memory, (dictionary, columns) => {
    twin.analyse(dictionary, columns);
    simulator.analyse(dictionary, columns);
  });
  const unit = ordered(simulator.takeUnit());
  return { unit, naive: ordered(twin.takeUnit()), hits: twin.hits, kernelInstructions, userInstructions };
};

/** Cycles of kernel code by definitions §4, of exact counts. */
const cyclesOf = (
  { totals: { kernel }, privileged }: UnitStatistics,
  costs: Readonly<Record<string, number>>,
): number => {
  const rows = privileged.filter(({ mode }) => mode === 'kernel');
  const ordinary = rows.reduce((left, { count }) => left - count, kernel.instructions - kernel.nops);
  return (
    0.4 * ordinary +
    0.25 * kernel.nops +
    rows.reduce((sum, { kind, count }) => sum + count * (costs[kind] ?? Number.NaN), 0) +
    12 * (kernel.l1iMisses + kernel.l1dMisses) +
    200 * (kernel.l2InstructionMisses + kernel.l2DataMisses) +
    15 * (kernel.conditionalMispredictions + kernel.indirectMispredictions + kernel.returnMispredictions)
  );
};

const SHORT_WALK = { userCodeBytes: 8 << 10, userDataBytes: 16 << 10, timerPeriod: 1000 };

/** Patched and not, because only unpatched sites save registers; Xen, because only there thunks are entered. */
const GUESTS: readonly Wanted[] = [
  { stage: 'v2.6.29', workload: 'fork', iterations: 2 },
  { stage: 'v2.6.29', workload: 'mmap', iterations: 1, patched: false },
  { type: 'xen', stage: 'callee-save-pte', workload: 'fork', iterations: 1 },
  { stage: 'v2.6.29', workload: 'timer', footprint: 'mixed', iterations: 1, ...SHORT_WALK },
  { stage: 'callee-save-pte', workload: 'mix', mixIterations: ONE_OF_EACH },
];
const costs = cycleCostsOf(parseGuestSpec({ stage: 'v2.6.29', workload: 'fork' }));
const analysed = GUESTS.map((wanted) => ({
  guest: `${wanted.workload} in ${wanted.type ?? 'native'} ${wanted.patched === false ? 'unpatched ' : ''}${wanted.stage}`,
  ...analyse(wanted),
}));

describe.each(analysed)('the chunks of $guest', ({ unit, naive, hits, kernelInstructions, userInstructions }) => {
  const all = (key: CountKey): number => unit.totals.kernel[key] + unit.totals.user[key];

  it('give the same figures in all rows of the simulator and of the naive model', () => {
    expect(unit).toEqual(naive);
  });

  it('hold the instructions that the guest retired in the measured region', () => {
    expect(unit.totals.kernel.instructions).toBe(kernelInstructions);
    expect(unit.totals.user.instructions).toBe(userInstructions);
  });

  it('make as many references as there are hits and misses', () => {
    expect(all('l1iReferences')).toBe(hits.l1i + all('l1iMisses'));
    expect(all('dataReads') + all('dataWrites')).toBe(hits.l1d + all('l1dMisses'));
    expect(all('l1iMisses') + all('l1dMisses')).toBe(hits.l2 + all('l2InstructionMisses') + all('l2DataMisses'));
  });

  it('leave no save unclassified', () => {
    const { saves, restores, notSaves, foldedSaves, stackMoves } = unit.ledger;
    expect(saves + restores + notSaves - foldedSaves).toBe(stackMoves);
    expect(stackMoves).toBeGreaterThan(1000);
  });

  it('cost the cycles of the definitions', () => {
    expect(metricsOf(unit, 'kernel', costs).guestCycles).toBeCloseTo(cyclesOf(naive, costs.privileged), 3);
  });
});

describe('the chunks of all these guests', () => {
  const { totals, perCause, perSite, privileged, events } = analysed.map(({ unit }) => unit).reduce(addUnits);

  it('lack nothing that is compared', () => {
    const { unscoredBranches: _, ...kernel } = totals.kernel;
    for (const [key, count] of Object.entries(kernel)) expect({ key, count }).not.toEqual({ key, count: 0 });
    for (const { cause, saves, restores } of perCause) {
      expect({ cause, saves, restores }).not.toEqual({ cause, saves: 0, restores: 0 });
    }
    expect(perSite.some(({ thunkEntries }) => thunkEntries > 0)).toBe(true);
    expect(privileged.length).toBeGreaterThan(5);
    expect(new Set(events.map(({ kind }) => kind))).toEqual(new Set(['exception', 'interrupt', 'trap']));
  });
});

import { parseGuestSpec } from '@pvtrail/contracts';
import { describe, expect, it } from 'vitest';
import { type AnalysisConfiguration, DEFAULT_CONFIGURATION } from '../src/configuration.js';
import { ASSUMED_PRIVILEGED_CYCLES, cycleCostsOf } from '../src/cost-model.js';
import { metricsOf } from '../src/metrics.js';
import type { Counts } from '../src/statistics.js';
import { address, catalogueWith, type Executed, execute } from './guest-code.js';

/*
 * The metrics of definitions §4, each counted by hand. That the simulator counts what its naive twin counts is shown elsewhere; here is
 * that both count what the definition says.
 */

const { costs: COSTS } = parseGuestSpec({ stage: 'v2.6.29', workload: 'fork' });
/** The ledger has its own tests; here the first instruction may push. */
const CATALOGUE = catalogueWith({ notSaves: [{ address: address(0), reason: 'argument-push' }] });
const kernel = (executed: readonly Executed[], configuration?: AnalysisConfiguration): Counts =>
  execute(CATALOGUE, executed, configuration).totals.kernel;
const metrics = (executed: readonly Executed[]) =>
  metricsOf(
    execute(catalogueWith({}), executed),
    'kernel',
    cycleCostsOf(parseGuestSpec({ stage: 'v2.6.29', workload: 'fork' })),
  );

const JMP_NEXT = 'eb00';
const LOAD = `488b07${JMP_NEXT}`;
const STORE = `488907${JMP_NEXT}`;
const UPDATE = `480107${JMP_NEXT}`;
const [LINE_A, LINE_B, LINE_C] = [0x5000, 0x7000, 0x9000] as const;

describe('an instruction', () => {
  it('is a nop too', () => {
    expect(kernel([{ at: 0, code: `900f1f00${JMP_NEXT}` }])).toMatchObject({ instructions: 3, nops: 2 });
  });

  it('is a rep instruction once; its iterations are counted apart', () => {
    const counts = kernel([{ at: 0, code: 'f348ab', iterations: 5 }]);
    expect(counts).toMatchObject({ instructions: 1, repInstructions: 1, repIterations: 5 });
  });

  it('is not hlt, which waits', () => {
    const hlt = [
      { at: 0, code: 'f4' },
      { at: 1, code: JMP_NEXT },
    ];
    expect(metrics(hlt).instructions).toBe(1);
  });

  it('is not one that faults', () => {
    expect(kernel([{ at: 0, code: `90488b07${JMP_NEXT}`, retired: 1 }]).instructions).toBe(1);
  });
});

describe('data references', () => {
  const references = (executed: Executed) => {
    const { dataReads, dataWrites, frameReferences } = kernel([executed]);
    return [dataReads, dataWrites, frameReferences];
  };

  it.each<[string, Executed, readonly [reads: number, writes: number, frame: number]]>([
    ['a load', { at: 0, code: LOAD }, [1, 0, 0]],
    ['a store', { at: 0, code: STORE }, [0, 1, 0]],
    ['an update: a read and a write', { at: 0, code: UPDATE }, [1, 1, 0]],
    ['a load of two lines', { at: 0, code: LOAD, addresses: [0x503c] }, [2, 0, 0]],
    ['an update of two lines', { at: 0, code: UPDATE, addresses: [0x503c] }, [2, 2, 0]],
    ['a push', { at: 0, code: `53${JMP_NEXT}` }, [0, 1, 0]],
    ['a return', { at: 0, code: 'c3' }, [1, 0, 0]],
    ['a call through memory', { at: 0, code: 'ff10' }, [1, 1, 0]],
    ['lea and a nop with an operand: none', { at: 0, code: `488d07480f1f07${JMP_NEXT}` }, [0, 0, 0]],
    ['three elements moved by rep', { at: 0, code: 'f348a5', iterations: 3, addresses: [0x5000, 0x7000] }, [3, 3, 0]],
    [
      'three elements, one of them in two lines',
      { at: 0, code: 'f348ab', iterations: 3, addresses: [0x502c] },
      [0, 4, 0],
    ],
    ['an exception with an error code: six words', { at: 0, code: LOAD, retired: 0 }, [0, 6, 6]],
  ])('are, of %s', (_what, executed, counts) => {
    expect(references(executed)).toEqual(counts);
  });
});

describe('an L1I reference', () => {
  const references = (...executed: Executed[]): number => kernel(executed).l1iReferences;
  /** Ends a block, and falls through. */
  const STI = 'fb';

  it('is made for each line that fetch enters', () => {
    expect(references({ at: 0, code: `${'90'.repeat(62)}${JMP_NEXT}` })).toBe(1);
    expect(references({ at: 10, code: `${'90'.repeat(62)}${JMP_NEXT}` })).toBe(2);
  });

  it('is not made again behind a block that falls through', () => {
    expect(references({ at: 0, code: `90${STI}` }, { at: 2, code: `9090${JMP_NEXT}` })).toBe(1);
  });

  it('is made after a taken transfer, though it stays in the line', () => {
    expect(references({ at: 0, code: JMP_NEXT }, { at: 2, code: JMP_NEXT })).toBe(2);
    expect(references({ at: 0, code: '7402' }, { at: 4, code: JMP_NEXT })).toBe(2);
  });

  it('is not made after a branch that is not taken', () => {
    expect(references({ at: 0, code: '7402' }, { at: 2, code: JMP_NEXT })).toBe(1);
  });
});

describe('the caches', () => {
  const line = (lines: number, ways = lines) => ({ sizeBytes: 64 * lines, ways, lineBytes: 64 });
  const withData = (l1d: number, l2: number): AnalysisConfiguration => ({
    ...DEFAULT_CONFIGURATION,
    caches: { ...DEFAULT_CONFIGURATION.caches, l1d: line(l1d), l2: line(l2) },
  });
  const accesses = (...list: (readonly [code: string, at: number])[]): Executed[] =>
    list.map(([code, at]) => ({ at: 0, code, addresses: [at] }));
  /** Without the one line of code, which misses both levels. */
  const data = (executed: readonly Executed[], configuration: AnalysisConfiguration) => {
    const counts = kernel(executed, configuration);
    return {
      l1dMisses: counts.l1dMisses,
      l2DataMisses: counts.l2DataMisses,
      l1dWriteBacks: counts.l1dWriteBacks,
      l2WriteBacks: counts.l2WriteBacks,
    };
  };

  it('are by default two L1s of 32 KiB and an L2 of 256 KiB, with 8 ways and lines of 64 bytes', () => {
    const l1 = { sizeBytes: 32 << 10, ways: 8, lineBytes: 64 };
    expect(DEFAULT_CONFIGURATION.caches).toEqual({ l1i: l1, l1d: l1, l2: { ...l1, sizeBytes: 256 << 10 } });
    expect(parseGuestSpec({ stage: 'nopv', workload: 'fork' }).caches).toEqual(DEFAULT_CONFIGURATION.caches);
  });

  it('replace the line that was used longest ago', () => {
    const executed = accesses([LOAD, LINE_A], [LOAD, LINE_B], [LOAD, LINE_A], [LOAD, LINE_C], [LOAD, LINE_A]);
    expect(data(executed, withData(2, 32))).toMatchObject({ l1dMisses: 3 });
    expect(data([...executed, ...accesses([LOAD, LINE_B])], withData(2, 32))).toMatchObject({ l1dMisses: 4 });
  });

  it('allocate on a write, and write back a line that was written when it leaves, once', () => {
    expect(data(accesses([STORE, LINE_A], [LOAD, LINE_A]), withData(1, 32))).toMatchObject({
      l1dMisses: 1,
      l1dWriteBacks: 0,
    });
    const twice = accesses([STORE, LINE_A], [STORE, LINE_A], [LOAD, LINE_B], [LOAD, LINE_C]);
    expect(data(twice, withData(1, 32))).toMatchObject({ l1dMisses: 3, l1dWriteBacks: 1 });
  });

  it('refer to the L2 by misses of the L1s only: a write-back is no reference', () => {
    const executed = accesses([STORE, LINE_A], [LOAD, LINE_B]);
    const { l2References, l2Misses, writeBacks } = metricsOf(
      execute(catalogueWith({}), executed, withData(1, 32)),
      'kernel',
      cycleCostsOf(parseGuestSpec({ stage: 'v2.6.29', workload: 'fork' })),
    );
    // the line of code, A and B
    expect([l2References, l2Misses, writeBacks]).toEqual([3, 3, 1]);
  });

  it('need not be in the L2 what is in an L1', () => {
    // the L2's one line is taken by B, but A stays in the L1D
    expect(data(accesses([LOAD, LINE_A], [LOAD, LINE_B], [LOAD, LINE_A]), withData(2, 1))).toMatchObject({
      l1dMisses: 2,
    });
  });

  it('share the L2 between code and data', () => {
    const code = 0x1000000;
    expect(data(accesses([LOAD, code]), DEFAULT_CONFIGURATION)).toMatchObject({ l1dMisses: 1, l2DataMisses: 0 });
  });
});

describe('a misprediction', () => {
  const TAKEN: readonly Executed[] = [
    { at: 0, code: '7402' },
    { at: 4, code: 'ebfa' },
  ];
  const times = <T>(count: number, list: readonly T[]): T[] => Array.from({ length: count }, () => list).flat();

  it('has gshare of 4096 counters and 12 bits, 512 sets of 4 targets and 16 returns by default', () => {
    const shape = { counters: 4096, historyBits: 12, targetSets: 512, targetWays: 4, returnDepth: 16 };
    expect(DEFAULT_CONFIGURATION.predictor).toEqual(shape);
  });

  it('is made by a branch until its counter has seen its direction, for each history that leads to it', () => {
    const untaken = times(20, [
      { at: 0, code: '7402' },
      { at: 2, code: 'ebfc' },
    ]);
    expect(kernel(untaken).conditionalMispredictions).toBe(0);
    // 12 bits of history become ones one after another; each time another counter learns
    expect(kernel(times(40, TAKEN)).conditionalMispredictions).toBe(13);
    const short = { ...DEFAULT_CONFIGURATION.predictor, historyBits: 0 };
    expect(kernel(times(40, TAKEN), { ...DEFAULT_CONFIGURATION, predictor: short }).conditionalMispredictions).toBe(1);
  });

  it('is made by an indirect jump that goes elsewhere than the last time', () => {
    const to = (target: number): Executed[] => [
      { at: 0, code: 'ffe0' },
      { at: target, code: 'e900000000' },
    ];
    expect(kernel([...to(0x20), ...to(0x20), ...to(0x40), ...to(0x40), ...to(0x20)]).indirectMispredictions).toBe(3);
  });

  it('is made by a return from deeper than sixteen calls', () => {
    const nested = (depth: number): Executed[] => [
      ...Array.from({ length: depth }, (_, i) => ({ at: 0x100 * i, code: 'e8fb000000' })),
      { at: 0x100 * depth, code: 'c3' },
      ...Array.from({ length: depth - 1 }, (_, i) => ({ at: 0x100 * (depth - 1 - i) + 5, code: 'c3' })),
      { at: 5, code: JMP_NEXT },
    ];
    expect(kernel(nested(16))).toMatchObject({ returns: 16, returnMispredictions: 0 });
    expect(kernel(nested(18))).toMatchObject({ returns: 18, returnMispredictions: 2 });
  });

  it('is not made by direct jumps and calls', () => {
    const { conditionalMispredictions, indirectMispredictions, returnMispredictions } = kernel([
      { at: 0, code: 'e9fb000000' },
      { at: 0x100, code: 'e8fb000000' },
      { at: 0x200, code: JMP_NEXT },
    ]);
    expect([conditionalMispredictions, indirectMispredictions, returnMispredictions]).toEqual([0, 0, 0]);
  });
});

describe('cycles', () => {
  it('cost by default what the definitions say', () => {
    expect(COSTS).toEqual({
      instruction: 0.4,
      nop: 0.25,
      l1Miss: 12,
      l2Miss: 200,
      misprediction: 15,
      kvmExit: 2000,
      xen64Hypercall: 500,
      multicallEntry: 100,
      xen32Hypercall: 300,
      emulatedTableWrite: 3000,
      otherEmulation: 2500,
      eventInjection: 1000,
      lguestHypercall: 2500,
    });
  });

  it('are those of the instructions, of two misses and of a privileged instruction', () => {
    // cli, nop, load, jmp; the line of code and the line of data miss both levels
    const { guestCycles } = metrics([{ at: 0, code: `fa90${LOAD}` }]);
    expect(guestCycles).toBeCloseTo(ASSUMED_PRIVILEGED_CYCLES.cli + 0.25 + 2 * 0.4 + 2 * (12 + 200), 9);
  });
});
